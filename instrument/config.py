"""Settings: one frozen `Config`, and where each of its values came from.

A value comes from `configure()`, else from the environment (`INSTRUMENT_<NAME>`), else from `instrument.toml` or
`[tool.agent-instrument]` in pyproject.toml (the nearest of them, from the working directory upwards), else it is the
default. Nothing is read on import.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from instrument.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

_AtLeastZero = Annotated[int, Meta(ge=0)]
_AtLeastOne = Annotated[int, Meta(ge=1)]
_Hours = Annotated[float, Meta(gt=0)]


class Config(Struct, frozen=True, kw_only=True):
    """Every setting, with its default."""

    directory: Annotated[str, Meta(min_length=1)] = "monitoring"
    """The store: a directory of this process's user, made when the first record is written."""

    file_mode: Literal["private", "group"] = "private"
    """Who may read and write what is recorded: its owner alone (modes 0700 and 0600), or also the group of the store's
    directory (2770 and 0660), so that several users share a store."""

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

    cursor_days: _AtLeastOne = 7
    """Days that compaction waits for a named follower that has not read a day yet and is not running."""

    slow_query_threshold_ms: _AtLeastZero = 5000
    very_slow_query_threshold_ms: _AtLeastZero = 30000
    """A query slower than this, in ms, counts as slow or very slow."""

    default_report_hours: _Hours = 1
    """Hours a report covers unless it is asked for others."""

    max_report_hours: _Hours | None = None
    """Hours a report covers at the most; unless set, as long as records are kept."""

    time_zone: str = ""
    """Time zone of days and clock times: `local`, `UTC`, an offset or a name such as `Europe/Berlin`. Unless set, times
    are read as local ones, and shown as local ones in a terminal and in UTC anywhere else."""

    enable_entity_detection: bool = True
    enable_tool_tracking: bool = True
    enable_complexity_scoring: bool = True
    """Whether entities, tool and GraphQL calls, complexity scores are kept."""

    enabled: bool = True
    """Whether anything is recorded at all."""

    flush_interval_ms: Annotated[int, Meta(ge=1, le=60_000)] = 200
    """Longest time a record waits in memory before it is written, in ms; where fewer than 128 come in that time and
    nobody follows the store, five times as long, but no longer than a second."""

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
    """Key of that hash and of `hash_variables`. Without one, hashes of inputs made by different processes cannot be
    compared, and variables are hashed with a key of the store."""

    hash_variables: bool = True
    """Whether a keyed hash of a GraphQL call's variables is kept, by which `metrics advise` knows repeated calls."""

    max_input_chars: _AtLeastZero = 2000
    """Longest text kept of an input, an error message or an attribute, in characters."""

    capture_model_content: bool = False
    """Whether the texts of prompts and models' answers are kept; `redact` and `max_input_chars` apply to them."""

    max_label_values: Annotated[int, Meta(ge=1, le=10_000)] = 200
    """Values that a label of a Prometheus metric may have, such as names of tools; all further ones are `other`."""

    ship_to: tuple[str, ...] = ()
    """Where `metrics serve` ships records: a target as `metrics ship --to` has it, then its address and options, as in
    `otlp http://localhost:4318 signals=traces+metrics`."""

    redact: tuple[str, ...] | Callable[[str], str] = ()
    """What is blacked out of texts: names of known patterns (`email`, `phone`, `card`, `token`), regular expressions,
    or (from `configure()` only) a function from text to text."""

    @property
    def longest_report_hours(self) -> float:
        """How many hours a report covers at the most."""
        return (
            min(self.retention_days, 1_000_000_000) * 24.0 if self.max_report_hours is None else self.max_report_hours
        )

    @property
    def json_path(self) -> Path:
        """Where metrics.json is."""
        from pathlib import Path

        return Path(self.metrics_file or Path(self.directory, "metrics.json"))

    @property
    def csv_path(self) -> Path:
        """Where metrics.csv is."""
        from pathlib import Path

        return Path(self.csv_file or Path(self.directory, "metrics.csv"))


class Resolved(Struct, frozen=True):
    """A `Config` and, for each setting, where its value came from (`default`, a variable, a file, `configure()`)."""

    config: Config
    sources: dict[str, str]


DEFAULTS = Config()

_FIELDS = {field.name: field for field in msgspec.structs.fields(Config)}
_PREFIX = "INSTRUMENT_"
_SECRET = "hash_key"
_PATHS = ("directory", "metrics_file", "csv_file")
_SECTIONS = ("alerts", "alert_targets")
"""What a settings file may have beside settings; `sections` gives it to whoever reads alerts."""

_WORDS = {"yes": "true", "on": "true", "no": "false", "off": "false"}


def checked(key: str, value: Any, source: str) -> Any:
    """One setting's value, converted to its type.

    Raises ConfigError that names the key, where it came from and what is wrong.
    """
    field = _FIELDS.get(key)
    if field is None:
        raise ConfigError(key, source, _unknown(key, source))
    if key == "redact" and callable(value):
        return value
    expected: Any = tuple[str, ...] if key == "redact" else field.type
    try:
        right = msgspec.convert(_plainer(value, field.default), expected, strict=not isinstance(value, str))
        if key == "redact" and right:
            from instrument.redaction.rules import compiled

            compiled(right)
    except (msgspec.ValidationError, ValueError) as error:
        from instrument.expected import in_words

        shown = "the value" if key == _SECRET else repr(value)
        is_rule = key == "redact" and not isinstance(error, msgspec.ValidationError)
        problem = _plain(str(error)) if is_rule else f"write {in_words(field.type)}"
        raise ConfigError(key, source, f"{shown} will not do: {problem}") from None
    return _path(key, right, source) if key in _PATHS else right


def _path(key: str, path: str, source: str) -> str:
    """A path with its `~` or `~user` expanded, as no shell has done it for a variable from a file."""
    if "\0" in path:
        raise ConfigError(key, source, f"{path!r} will not do: no path holds a NUL")
    expanded = os.path.expanduser(path)
    if path.startswith("~") and expanded == path:
        home = path.partition("/")[0]
        raise ConfigError(key, source, f"{path!r} will not do: {home} stands for no home directory; write ./{path}")
    return expanded


def _plainer(value: Any, default: Any) -> Any:
    """A path as text, text as the list or boolean that it stands for."""
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if not isinstance(value, str):
        return value
    if isinstance(default, tuple):
        return [part.strip() for part in value.split(",") if part.strip()]
    return _WORDS.get(value.strip().lower(), value.strip()) if isinstance(default, (bool, int, float)) else value


def in_force(overrides: Mapping[str, Any]) -> tuple[Config, list[ConfigError]]:
    """The settings for this process, with what was wrong and has its default instead.

    Paths are absolute: what becomes of the working directory later does not matter. If a rule of `redact` is wrong, no
    text is kept at all.
    """
    from pathlib import Path

    try:
        folder = Path.cwd()
    except OSError:  # the working directory has been removed
        folder = None
    values, _, wrong = settle(overrides, os.environ, folder)
    if any(mistake.key == "redact" for mistake in wrong):
        values |= {"redact": lambda text: "", "capture_input": "none"}
    for key in _PATHS:
        path = values.get(key, getattr(DEFAULTS, key))
        if path and folder is not None:
            values[key] = os.path.join(folder, path)
    return Config(**values), wrong


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
        *_from_environment(environ, wrong),
        *((key, value, "configure()") for key, value in overrides.items()),
    ]:
        try:
            values[key] = checked(key, value, source)
            sources[key] = source
        except ConfigError as error:
            wrong.append(error)
    return values, sources, wrong


def _from_environment(environ: Mapping[str, str], wrong: list[ConfigError]) -> list[tuple[str, str, str]]:
    found = [(name[len(_PREFIX) :].lower(), value, name) for name, value in environ.items() if name.startswith(_PREFIX)]
    for key, _, name in found:
        # Another program may own a variable of this prefix, so only what is nearly a setting's name is taken for one.
        if key not in _FIELDS and (nearest := _nearest(key, 0.75)):
            wrong.append(ConfigError(key, name, f"there is no such setting; did you mean {_PREFIX + nearest.upper()}?"))
    return [one for one in found if one[0] in _FIELDS]


def sections(folder: Path) -> tuple[str, dict[str, Any]]:
    """The alerts and their targets of the settings file in force in a folder, unchecked, and the file's name.

    Raises ConfigError when the file cannot be read.
    """
    wrong: list[ConfigError] = []
    found = _in_file(folder, wrong)
    if wrong:
        raise wrong[0]
    own = {key: value for key, value, _ in found if key in _SECTIONS}
    return (found[0][2] if found else ""), own


def _from_file(folder: Path | None, wrong: list[ConfigError]) -> list[tuple[str, Any, str]]:
    return [one for one in _in_file(folder, wrong) if one[0] not in _SECTIONS]


def _in_file(folder: Path | None, wrong: list[ConfigError]) -> list[tuple[str, Any, str]]:
    for place in () if folder is None else (folder, *folder.parents):
        for name, section in (("instrument.toml", ()), ("pyproject.toml", ("tool", "agent-instrument"))):
            path = place / name
            table = _table(path, section, wrong)
            if isinstance(table, dict):
                return [(key, value, str(path)) for key, value in table.items()]
            if table is not None:
                wrong.append(ConfigError("*", str(path), "[tool.agent-instrument] is not a table of settings"))
    return []


def _table(path: Path, section: tuple[str, ...], wrong: list[ConfigError]) -> Any:
    """What a file has in a section, None if there is no such file or section, or it cannot be read."""
    try:
        text = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        return _unreadable(path, error, section, wrong)
    import tomllib

    try:
        table: Any = tomllib.loads(text.decode())
    except (ValueError, RecursionError) as error:
        return _unreadable(path, error, section, wrong)
    for part in section:
        table = table.get(part) if isinstance(table, dict) else None
    return table


def _unreadable(path: Path, error: Exception, section: tuple[str, ...], wrong: list[ConfigError]) -> None:
    if not section:  # a broken pyproject.toml is the business of those who build with it
        wrong.append(ConfigError("*", str(path), f"the file cannot be read: {_plain(str(error))}"))


def _plain(text: str) -> str:
    return " ".join(text.split())


def _unknown(key: str, source: str) -> str:
    """What to say of a name that is no setting's."""
    if key in ("tool", "agent-instrument") and source.endswith("instrument.toml"):
        return "in instrument.toml settings stand at the top, without a section"
    nearest = _nearest(key, 0.5)
    return f"there is no such setting; {f'did you mean {nearest!r}?' if nearest else 'remove it, or correct its name'}"


def _nearest(key: str, likeness: float) -> str:
    import difflib

    return next(iter(difflib.get_close_matches(key, _FIELDS, n=1, cutoff=likeness)), "")
