"""The command as a process: pipes, terminals, exit codes, completion."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import shlex
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from cli_store import Answer, command, environment, query, write
from rich.cells import cell_len
from rich.text import Text

Process = Callable[..., Answer]


def on_a_terminal(*arguments: str, columns: int = 80, **variables: str) -> str:
    """What the command writes to a terminal of that width."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    running = subprocess.Popen(
        command(*arguments),
        env=environment(TERM="xterm-256color", **variables),
        stdin=follower,
        stdout=follower,
        stderr=follower,
    )
    os.close(follower)
    written = b""
    while True:
        try:
            block = os.read(leader, 65536)
        except OSError:
            break
        if not block:
            break
        written += block
    os.close(leader)
    assert running.wait(60) == 0
    return written.decode().replace("\r\n", "\n")


def test_the_command_runs_as_a_module(process: Process, store: Path) -> None:
    answer = process("report")
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.startswith(" metrics report ")


def test_a_terminal_gets_colour_and_no_line_wider_than_it_is(store: Path) -> None:
    for columns in (80, 132):
        shown = on_a_terminal("report", columns=columns)
        assert "\x1b[31m" in shown
        assert max(cell_len(row) for row in Text.from_ansi(shown).plain.splitlines()) <= columns


def test_no_color_is_honoured_on_a_terminal(store: Path) -> None:
    shown = on_a_terminal("report", NO_COLOR="1")
    assert not any(f"\x1b[3{colour}m" in shown for colour in range(8))


def test_columns_is_honoured_on_a_terminal_and_in_a_pipe(process: Process, store: Path) -> None:
    narrow = Text.from_ansi(on_a_terminal("report", columns=200, COLUMNS="90")).plain.splitlines()
    assert 80 < max(map(cell_len, narrow)) <= 90
    assert max(map(len, process("report", COLUMNS="120").out.splitlines())) > 100


@pytest.mark.parametrize("variables", [{}, {"FORCE_COLOR": ""}, {"CLICOLOR_FORCE": "1"}, {"COLUMNS": "20"}])
def test_a_pipe_gets_plain_text_with_nothing_wrapped_or_left_out(
    process: Process, tmp_path: Path, variables: dict[str, str]
) -> None:
    text = "a very long question that goes on " * 20 + "to its end"
    name = "an_agent_with_a_name_" * 8
    write(tmp_path / "monitoring", [query(agent=name, user_input=text)])
    assert name in process("report", **variables).out
    listed = process("queries", **variables).out
    assert text in listed
    assert len(listed.splitlines()) == 1
    shown = process("show", listed.split()[0], **variables).out
    assert text in shown
    assert "\x1b" not in listed + shown


def test_what_goes_to_a_pipe_is_the_same_every_time(process: Process, store: Path) -> None:
    listed = {process("queries").out for _ in range(2)}
    assert len(listed) == 1


def test_a_reader_that_leaves_early_ends_the_command_quietly(tmp_path: Path) -> None:
    write(tmp_path / "monitoring", [query(1 + number / 1000, number, user_input="x" * 500) for number in range(2000)])
    for arguments in (("report", "--format", "json"), ("queries", "--limit", "2000")):
        running = subprocess.Popen(
            command(*arguments), env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.read(10)
        running.stdout.close()
        assert running.stderr.read() == b""
        running.stderr.close()
        assert running.wait(60) == 141


def test_an_interrupted_command_ends_at_once_without_a_word(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "metrics.json")
    running = subprocess.Popen(
        command("import", "metrics.json"), env=environment(PYTHONWARNINGS=""), stderr=subprocess.PIPE
    )
    with open(tmp_path / "metrics.json", "wb"):  # opens once the command reads it
        running.send_signal(signal.SIGINT)
        _, told = running.communicate(timeout=60)
    assert (running.returncode, told) == (130, b"")


def test_a_full_disk_behind_the_output_is_one_line(store: Path) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            command("report"), env=environment(), stdout=full, stderr=subprocess.PIPE, text=True, timeout=60
        )
    assert done.returncode == 1
    assert done.stderr.splitlines() == ["metrics: output: No space left on device"]


def test_an_output_that_knows_ascii_only_gets_ascii(process: Process, store: Path) -> None:
    answer = process("report", PYTHONIOENCODING="ascii")
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.isascii()
    assert "?" not in answer.out


def test_json_is_utf8_whatever_the_output_knows(tmp_path: Path, process: Process) -> None:
    write(tmp_path / "monitoring", [query(user_input="unbezahlte Beiträge – 客户")])
    shown = process("queries", "--format", "json", PYTHONIOENCODING="ascii").out
    assert json.loads(shown)[0]["user_input"] == "unbezahlte Beiträge – 客户"


def completions(process: Process, words: str) -> list[str]:
    answer = process(_METRICS_COMPLETE="complete_bash", COMP_WORDS=words, COMP_CWORD=str(len(words.split(" ")) - 1))
    return answer.out.split()


def test_the_shell_completes_commands_options_and_formats(process: Process) -> None:
    assert completions(process, "metrics re") == ["report"]
    assert "--hours" in completions(process, "metrics report --")
    assert completions(process, "metrics report --format ") == ["text", "json", "csv", "html", "markdown"]
    assert completions(process, "metrics export --format p") == ["parquet"]
    assert completions(process, "metrics run --only crew") == ["crewai"]
    assert completions(process, "metrics run --only crewai,gq") == ["crewai,gql"]
    assert "crewai,crewai" not in completions(process, "metrics run --only crewai,")


def test_a_completion_script_can_be_had_for_the_shell(process: Process) -> None:
    answer = process("--show-completion", "bash", _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1")
    assert answer.code == 0
    assert "_METRICS_COMPLETE=complete_bash" in answer.out


def test_starting_loads_neither_duckdb_nor_rich_before_a_command_needs_them() -> None:
    code = (
        "import sys; from instrument_cli.app import run; run(['report', '--hours', '-1']);"
        "print([name for name in ('duckdb', 'rich.console', 'wrapt', 'instrument.store') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True, timeout=60)
    assert done.stdout == "[]\n"


def test_a_report_into_a_pipe_never_loads_richs_console(store: Path) -> None:
    code = "import sys; from instrument_cli.app import run; run(['report']); print('rich.console' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines()[-1] == "False"


def test_force_color_colours_a_pipe_and_cuts_nothing(process: Process, tmp_path: Path) -> None:
    text = "a very long question that goes on " * 20 + "to its end"
    write(tmp_path / "monitoring", [query(user_input=text)])
    shown = process("queries", FORCE_COLOR="1").out
    assert text in process("show", process("queries").out.split()[0], FORCE_COLOR="1").out
    assert text in shown
    assert "\x1b[3" not in process("report", FORCE_COLOR="1", NO_COLOR="1").out
    assert "\x1b[3" in process("report", FORCE_COLOR="1").out


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&- <&-"])
def test_closed_streams_are_no_fault(store: Path, closed: str) -> None:
    for arguments in ("report", "queries", "doctor"):
        line = f"{shlex.join(command(arguments))} {closed}"
        done = subprocess.run(line, shell=True, env=environment(), capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stderr) == (0, "")
    assert len(list(store.glob("*/*"))) == 1


def test_h_explains_as_help_does(process: Process) -> None:
    for arguments in ([], ["report"], ["sql"]):
        assert process(*arguments, "-h").out == process(*arguments, "--help").out != ""


def test_the_shell_completes_agents_ids_filters_and_zones(process: Process, store: Path) -> None:
    assert completions(process, "metrics report --agent c") == ["crewai"]
    assert len(completions(process, "metrics show 0")) == 12
    assert "tool=" in completions(process, "metrics queries --where to")
    assert "Europe/Berlin" in completions(process, "metrics queries --tz Europe/B")


def test_ctrl_c_ends_a_statement_at_once(store: Path) -> None:
    endless = "SELECT count(*) FROM range(100000000) a, range(100000000) b"
    running = subprocess.Popen(
        command("sql", endless), env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    time.sleep(3)
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=30)
    assert (running.returncode, out) == (130, b"")
    assert b"Traceback" not in err
