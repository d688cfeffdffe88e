"""Settings: where each comes from, what wins, and what is said of a wrong one."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from instrument import configure, flush, track_query
from instrument.config import DEFAULTS, Config, checked, in_force, resolve
from instrument.errors import ConfigError


@track_query(agent="a")
def ask(text: str) -> str:
    return text


def toml(folder: Path, name: str, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(text)
    return path


def test_the_seeds_settings_have_their_names_and_defaults() -> None:
    assert DEFAULTS.retention_days == 30
    assert (DEFAULTS.slow_query_threshold_ms, DEFAULTS.very_slow_query_threshold_ms) == (5000, 30000)
    assert (DEFAULTS.default_report_hours, DEFAULTS.max_report_hours) == (1, None)
    assert DEFAULTS.longest_report_hours == DEFAULTS.retention_days * 24
    assert DEFAULTS.enable_entity_detection
    assert DEFAULTS.enable_tool_tracking
    assert DEFAULTS.enable_complexity_scoring
    assert set(DEFAULTS.export_formats) >= {"json", "csv"}
    assert (str(DEFAULTS.json_path), str(DEFAULTS.csv_path)) == ("monitoring/metrics.json", "monitoring/metrics.csv")
    assert (DEFAULTS.flush_interval_ms, DEFAULTS.buffer_size) == (200, 65_536)


def test_configure_wins_over_the_environment_over_the_file_over_the_default(tmp_path: Path) -> None:
    path = toml(tmp_path, "instrument.toml", "buffer_size = 1\nretention_days = 1\nsample_rate = 0.1\n")
    environment = {"INSTRUMENT_BUFFER_SIZE": "2", "INSTRUMENT_RETENTION_DAYS": "2"}
    found = resolve({"buffer_size": 3}, environment, tmp_path)
    config = found.config
    assert (config.buffer_size, config.retention_days, config.sample_rate) == (3, 2, 0.1)
    assert config.flush_interval_ms == 200
    names = ("buffer_size", "retention_days", "sample_rate", "flush_interval_ms")
    assert [found.sources[name] for name in names] == [
        "configure()",
        "INSTRUMENT_RETENTION_DAYS",
        str(path),
        "default",
    ]


@pytest.mark.parametrize("key", ["directory", "metrics_file", "csv_file"])
def test_a_home_directory_is_expanded_wherever_the_path_comes_from(
    key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pwd

    monkeypatch.setenv("HOME", str(tmp_path))
    somebody = pwd.getpwuid(os.getuid())
    toml(tmp_path / "a", "instrument.toml", f"{key} = '~/x'")
    variable = f"INSTRUMENT_{key.upper()}"
    for found in (
        resolve({key: "~/x"}, {}, None),
        resolve({key: Path("~/x")}, {}, None),
        resolve({}, {variable: "~/x"}, None),
        resolve({}, {}, tmp_path / "a"),
    ):
        assert getattr(found.config, key) == str(tmp_path / "x")
    assert getattr(resolve({key: f"~{somebody.pw_name}/x"}, {}, None).config, key) == f"{somebody.pw_dir}/x"
    assert getattr(resolve({key: "./~x"}, {}, None).config, key) == "./~x"
    with pytest.raises(ConfigError, match="~nobody-of-that-name stands for no home directory"):
        resolve({key: "~nobody-of-that-name/x"}, {}, None)


def test_records_and_the_command_find_the_same_store_below_a_home_directory(tmp_path: Path) -> None:
    home, here = tmp_path / "home", tmp_path / "here"
    home.mkdir(), here.mkdir()
    environment = {**os.environ, "HOME": str(home), "INSTRUMENT_DIRECTORY": "~/store", "INSTRUMENT_FORMATS": "csv"}
    environment |= {"INSTRUMENT_CSV_FILE": "~/kept.csv", "PYTHONPATH": os.pathsep.join(sys.path)}
    code = "from instrument import track_query\ntrack_query(agent='a')(lambda text: text)('asked')"
    subprocess.run([sys.executable, "-c", code], env=environment, cwd=here, check=True)
    command = [sys.executable, "-m", "instrument_cli", "report", "--format", "json", "--no-records"]
    done = subprocess.run(command, env=environment, cwd=here, capture_output=True, text=True, check=True)
    assert '"total": 1' in done.stdout
    assert sorted(path.name for path in home.iterdir()) == ["kept.csv", "store"]
    assert not list(here.iterdir())


def test_the_nearest_file_upwards_is_the_one(tmp_path: Path) -> None:
    toml(tmp_path, "instrument.toml", "buffer_size = 1")
    toml(tmp_path / "a", "pyproject.toml", "[tool.agent-instrument]\nbuffer_size = 2")
    toml(tmp_path / "a/b", "pyproject.toml", "[project]\nname = 'without a section of ours'")
    assert resolve({}, {}, tmp_path / "a/b/c").config.buffer_size == 2
    toml(tmp_path / "a", "instrument.toml", "buffer_size = 3")
    assert resolve({}, {}, tmp_path / "a/b/c").config.buffer_size == 3
    assert resolve({}, {}, None).config.buffer_size == 65_536


def test_a_broken_pyproject_is_passed_by_and_a_broken_file_of_ours_is_named(tmp_path: Path) -> None:
    toml(tmp_path, "instrument.toml", "buffer_size = 1")
    toml(tmp_path / "a", "pyproject.toml", "[[[")
    assert resolve({}, {}, tmp_path / "a").config.buffer_size == 1
    path = toml(tmp_path / "b", "instrument.toml", "buffer_size = ")
    with pytest.raises(ConfigError, match="the file cannot be read") as failure:
        resolve({}, {}, tmp_path / "b")
    assert failure.value.source == str(path)
    toml(tmp_path / "c", "pyproject.toml", "[tool]\nagent-instrument = 5")
    with pytest.raises(ConfigError, match="not a table"):
        resolve({}, {}, tmp_path / "c")


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("enabled", "0", False),
        ("enabled", "False", False),
        ("enabled", " no ", False),
        ("enabled", "OFF", False),
        ("enabled", "1", True),
        ("enabled", "yes", True),
        ("formats", "json, csv", ("json", "csv")),
        ("formats", "", ()),
        ("always_keep", "slow", ("slow",)),
        ("redact", r"email,\d{4}", ("email", r"\d{4}")),
        ("sample_rate", " 0.25 ", 0.25),
        ("buffer_size", "10", 10),
        ("directory", "a b", "a b"),
        ("on_full", "wait", "wait"),
    ],
)
def test_a_variable_is_read_as_what_the_setting_is(name: str, text: str, value: object) -> None:
    found = resolve({}, {f"INSTRUMENT_{name.upper()}": text}, None)
    assert getattr(found.config, name) == value
    assert found.sources[name] == f"INSTRUMENT_{name.upper()}"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("sample_rate", 1.5),
        ("sample_rate", -0.1),
        ("sample_rate", "half"),
        ("sample_rate", "nan"),
        ("sample_rate", None),
        ("buffer_size", 0),
        ("buffer_size", 2.5),
        ("enabled", "maybe"),
        ("formats", ["xml"]),
        ("on_full", "explode"),
        ("capture_input", "some"),
        ("flush_interval_ms", 0),
        ("retention_days", -1),
        ("default_report_hours", 0),
        ("directory", ""),
        ("directory", 5),
        ("directory", "a\0b"),
        ("csv_file", "\0"),
        ("redact", "("),
        ("redact", 7),
        ("max_input_chars", -1),
    ],
)
def test_a_wrong_value_names_its_key_and_its_source_wherever_it_comes_from(
    tmp_path: Path, key: str, value: object
) -> None:
    with pytest.raises(ConfigError) as failure:
        configure(**{key: value})
    assert (failure.value.key, failure.value.source) == (key, "configure()")
    assert repr(key) in str(failure.value)
    if isinstance(value, str):
        with pytest.raises(ConfigError) as failure:
            resolve({}, {f"INSTRUMENT_{key.upper()}": value}, None)
        assert (failure.value.key, failure.value.source) == (key, f"INSTRUMENT_{key.upper()}")
    if isinstance(value, int | float):
        path = toml(tmp_path, "instrument.toml", f"{key} = {value}")
        with pytest.raises(ConfigError) as failure:
            resolve({}, {}, tmp_path)
        assert (failure.value.key, failure.value.source) == (key, str(path))


def test_a_wrong_name_names_the_nearest_right_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"'sampel_rate' from configure.*'sample_rate'"):
        configure(sampel_rate=1)
    with pytest.raises(ConfigError, match=r"from INSTRUMENT_SAMPEL_RATE.*INSTRUMENT_SAMPLE_RATE"):
        resolve({}, {"INSTRUMENT_SAMPEL_RATE": "1"}, None)
    toml(tmp_path, "instrument.toml", "bufer_size = 1")
    with pytest.raises(ConfigError, match=r"instrument\.toml.*'buffer_size'"):
        resolve({}, {}, tmp_path)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("sample_rate", 2, "2 will not do: write a number from 0 to 1"),
        ("default_report_hours", 0, "0 will not do: write a number above 0"),
        ("max_report_hours", 0, "0 will not do: write a number above 0"),
        ("buffer_size", 0, "0 will not do: write a whole number, 1 or more"),
        ("flush_interval_ms", "soon", "'soon' will not do: write a whole number from 1 to 60000"),
        ("enabled", "maybe", "'maybe' will not do: write true or false"),
        ("formats", ["xml"], "['xml'] will not do: write a list of json or csv"),
        ("export_formats", "xml", "'xml' will not do: write a list of json, csv, parquet or text"),
        ("on_full", "explode", "'explode' will not do: write drop or wait"),
        ("directory", "", "'' will not do: write a text that is not empty"),
        ("hash_key", 5, "the value will not do: write a text"),
        ("redact", 7, "7 will not do: write a list of texts"),
        ("xyz", 1, "there is no such setting; remove it, or correct its name"),
    ],
)
def test_a_wrong_setting_says_in_plain_words_what_to_write(key: str, value: object, said: str) -> None:
    with pytest.raises(ConfigError) as failure:
        configure(**{key: value})
    assert str(failure.value) == f"setting {key!r} from configure(): {said}"


def test_a_section_in_our_own_file_and_a_file_that_is_no_toml_are_explained(tmp_path: Path) -> None:
    path = toml(tmp_path, "instrument.toml", "[tool.agent-instrument]\nbuffer_size = 1")
    with pytest.raises(ConfigError, match="settings stand at the top, without a section"):
        resolve({}, {}, tmp_path)
    path.write_text("buffer_size = = 1")
    with pytest.raises(ConfigError) as failure:
        resolve({}, {}, tmp_path)
    assert str(failure.value).startswith(f"{path}: the file cannot be read: ")


def test_a_variable_of_another_program_with_our_prefix_is_none_of_our_business() -> None:
    assert resolve({}, {"INSTRUMENT_TUNING": "440", "INSTRUMENT_": "x"}, None).config == Config()


def test_a_wrong_key_of_the_hash_is_not_shown() -> None:
    with pytest.raises(ConfigError) as failure:
        checked("hash_key", 31337, "configure()")
    assert "31337" not in str(failure.value)


def test_a_wrong_setting_in_configure_changes_nothing(tmp_path: Path) -> None:
    configure(directory=tmp_path / "right")
    with pytest.raises(ConfigError):
        configure(directory=tmp_path / "wrong", buffer_size=0)
    ask("asked")
    assert flush()
    assert (tmp_path / "right").is_dir()
    assert not (tmp_path / "wrong").exists()


def test_wrong_settings_outside_the_code_are_said_once_each_and_have_their_defaults(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("INSTRUMENT_BUFFER_SIZE", "many")
    monkeypatch.setenv("INSTRUMENT_SAMPLE_RATE", "2")
    monkeypatch.setenv("INSTRUMENT_MAX_INPUT_CHARS", "10")
    configure()
    with caplog.at_level(logging.WARNING, "instrument"):
        for _ in range(3):
            assert ask("asked") == "asked"
            assert flush()
    said = sorted(record.getMessage() for record in caplog.records)
    assert len(said) == 2
    assert "'buffer_size' from INSTRUMENT_BUFFER_SIZE" in said[0]
    assert "'sample_rate' from INSTRUMENT_SAMPLE_RATE" in said[1]


def test_with_a_wrong_redaction_rule_outside_the_code_no_text_is_kept_at_all(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("INSTRUMENT_REDACT", "email,(")
    config, wrong = in_force({})
    assert [mistake.key for mistake in wrong] == ["redact"]
    assert config.capture_input == "none"
    assert callable(config.redact)
    assert config.redact("anything") == ""


def test_paths_in_force_do_not_follow_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config, _ = in_force({"csv_file": "figures/m.csv"})
    assert config.directory == str(tmp_path / "monitoring")
    assert config.json_path == tmp_path / "monitoring/metrics.json"
    assert config.csv_path == tmp_path / "figures/m.csv"


def test_recording_switched_off_in_a_file_or_variable_leaves_no_trace(tmp_path: Path) -> None:
    program = "from instrument import *\ndef f(x): ...\nprint(track_query(f) is f)\ntrack_query(f)('x')\nassert flush()"
    for variables, same in (({"INSTRUMENT_ENABLED": "0"}, True), ({}, False)):
        toml(tmp_path, "instrument.toml", "enabled = false")
        done = subprocess.run(
            [sys.executable, "-c", program],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **variables},
            capture_output=True,
            text=True,
            check=True,
        )
        assert (done.stdout, done.stderr) == (f"{same}\n", "")
        assert not (tmp_path / "monitoring").exists()
