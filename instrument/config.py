"""Settings: one frozen `Config`, and where each of its values came from.

A value comes from `configure()`, else from the environment (`INSTRUMENT_<NAME>`), else from `instrument.toml` or
`[tool.agent-instrument]` in pyproject.toml (the nearest of them, from the working directory upwards), else it is the
default. Nothing is read on import.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from instrument.errors import ConfigError

_AtLeastZero = Annotated[int, Meta(ge=0)]
_AtLeastOne = Annotated[int, Meta(ge=1)]


class Config(Struct, frozen=True, kw_only=True):
    """Every setting, with its default."""

    directory: str = "monitoring"
    """The store: a directory of this process's user, made when the first record is written."""

    formats: tuple[Literal["json", "csv"], ...] = ()
    """Files kept up to date beside the store: `json` (metrics_file), `csv` (csv_file)."""

    metrics_file: str = ""
    """Path of metrics.json; in the store's directory unless set."""

    csv_file: str = ""
    """Path of metrics.csv; in the store's directory unless set."""

    export_formats: tuple[Literal["json", "csv", "parquet", "text"], ...] = ("json", "csv", "parquet", "text")
    """Formats that `metrics report` and `metrics export` may write."""

    retention_days: _AtLeastOne = 30
    """Days a record is kept; `metrics compact` drops whole days that are older."""

    slow_query_threshold_ms: _AtLeastZero = 5000
    very_slow_query_threshold_ms: _AtLeastZero = 30000
    """A query slower than this, in ms, counts as slow or very slow."""

    default_report_hours: Annotated[float, Meta(gt=0)] = 1
    max_report_hours: Annotated[float, Meta(gt=0)] = 168
    """Hours a report covers when it is not told, and at the most."""

    enable_entity_detection: bool = True
    enable_tool_tracking: bool = True
    enable_complexity_scoring: bool = True
    """Whether entities, tool and GraphQL calls, complexity scores are kept."""

    enabled: bool = True
    """Whether anything is recorded at all."""

    flush_interval_ms: Annotated[int, Meta(ge=1, le=60_000)] = 200
    """Longest time a record waits in memory before it is written, in ms."""

    buffer_size: _AtLeastOne = 65_536
    """Records that may wait in memory."""

    on_full: Literal["drop", "wait"] = "drop"
    """What a full buffer does with a further record: drop and count it, or let the application wait."""

    sample_rate: Annotated[float, Meta(ge=0, le=1)] = 1.0
    """Share of queries kept; reports weight what was kept, so that totals stay right."""

    always_keep: tuple[Literal["errors", "slow"], ...] = ("errors", "slow")
    """Queries kept whatever the sample rate."""

    capture_input: Literal["full", "hash", "none"] = "full"
    """What is kept of a user's input: its text, a keyed hash of it, or nothing."""

    hash_key: str = ""
    """Key of that hash."""

    max_input_chars: _AtLeastZero = 2000
    """Longest text kept of an input, an error message or an attribute, in characters."""

    redact: tuple[str, ...] | Callable[[str], str] = ()
    """What is blacked out of texts: names of known patterns (`email`, `phone`, `card`, `token`), regular expressions,
    or (from `configure()` only) a function from text to text."""

    @property
    def json_path(self) -> Path:
        """Where metrics.json is."""
        return Path(self.metrics_file or Path(self.directory, "metrics.json"))

    @property
    def csv_path(self) -> Path:
        """Where metrics.csv is."""
        return Path(self.csv_file or Path(self.directory, "metrics.csv"))


class Resolved(Struct, frozen=True):
    """A `Config` and, for each setting, where its value came from (`default`, a variable, a file, `configure()`)."""

    config: Config
    sources: dict[str, str]


_FIELDS = {field.name: field for field in msgspec.structs.fields(Config)}


def checked(key: str, value: Any, source: str) -> Any:
    """One setting's value, converted to its type.

    Raises ConfigError that names the key, where it came from and what is wrong.
    """
    field = _FIELDS.get(key)
    if field is None:
        raise ConfigError(key, source, f"there is no such setting; did you mean {_nearest(key)!r}?")
    if key == "redact" and callable(value):
        return value
    expected: Any = tuple[str, ...] if key == "redact" else field.type
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if isinstance(value, str) and isinstance(field.default, tuple):
        value = [part.strip() for part in value.split(",") if part.strip()]
    try:
        return msgspec.convert(value, expected, strict=not isinstance(value, str))
    except msgspec.ValidationError as error:
        raise ConfigError(key, source, f"{value!r} will not do: {_plain(str(error))}") from None


def resolve(overrides: Mapping[str, Any], environ: Mapping[str, str], folder: Path | None) -> Resolved:
    """Settle every setting from `overrides` (what `configure()` was given), `environ` and the files above `folder`.

    Raises ConfigError for the first wrong one. `folder` None reads no file.
    """
    values, sources, wrong = settle(overrides, environ, folder)
    if wrong:
        raise wrong[0]
    return Resolved(Config(**values), sources)


def settle(
    overrides: Mapping[str, Any], environ: Mapping[str, str], folder: Path | None
) -> tuple[dict[str, Any], dict[str, str], list[ConfigError]]:
    """The same without raising: the values that are right, their sources, and what was wrong with the others."""
    values: dict[str, Any] = {}
    sources = dict.fromkeys(_FIELDS, "default")
    wrong: list[ConfigError] = []
    for key, value, source in [
        *_from_file(folder, wrong),
        *_from_environment(environ),
        *((key, value, "configure()") for key, value in overrides.items()),
    ]:
        try:
            values[key] = checked(key, value, source)
            sources[key] = source
        except ConfigError as error:
            wrong.append(error)
    return values, sources, wrong


def _from_environment(environ: Mapping[str, str]) -> list[tuple[str, str, str]]:
    named = ((key, f"INSTRUMENT_{key.upper()}") for key in _FIELDS)
    return [(key, environ[name], name) for key, name in named if name in environ]


def _from_file(folder: Path | None, wrong: list[ConfigError]) -> list[tuple[str, Any, str]]:
    if folder is None:
        return []
    import tomllib

    for place in (folder, *folder.parents):
        for name, section in (("instrument.toml", ()), ("pyproject.toml", ("tool", "agent-instrument"))):
            path = place / name
            try:
                table: Any = tomllib.loads(path.read_text("utf-8"))
            except FileNotFoundError:
                continue
            except (OSError, ValueError) as error:
                if not section:
                    wrong.append(ConfigError("*", str(path), f"the file cannot be read: {_plain(str(error))}"))
                continue
            for part in section:
                table = table.get(part, {}) if isinstance(table, dict) else {}
            if not section or table:
                return [(key, value, str(path)) for key, value in table.items()]
    return []


def _plain(text: str) -> str:
    return " ".join(text.split()).replace(" - at `$`", "")


def _nearest(key: str) -> str:
    import difflib

    return next(iter(difflib.get_close_matches(key, _FIELDS, n=1, cutoff=0)))
