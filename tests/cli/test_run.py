"""`metrics run`: real processes, each beside the same one under plain python."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cli_store import Answer, command, environment

Process = Callable[..., Answer]

FACTS = """
'''What it is for.'''
import os, pickle, signal, sys, threading
class Mine:
    pass
print(sys.argv, sys.orig_argv, sys.path, sys.flags, sys.executable, os.getcwd(), sys.warnoptions)
print(__name__, __file__, __doc__, __package__, globals().get("__cached__"))
print(__spec__ and __spec__.name, sorted(globals()))
print(sys.modules["__main__"].__dict__ is globals(), type(pickle.loads(pickle.dumps(Mine()))) is Mine)
print(threading.active_count(), [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE)])
print(sys.stdout.encoding, sys.stdout.errors, sys.excepthook is sys.__excepthook__, "click" in sys.modules)
"""


def outcome(words: list[str], **options: Any) -> tuple[int, str, str]:
    given = {"env": environment(), "capture_output": True, "text": True, "timeout": 60, **options}
    done = subprocess.run(words, **given)
    return done.returncode, done.stdout, done.stderr


def both(*arguments: str, **options: Any) -> tuple[int, str, str]:
    """What python makes of the arguments: exit code, output and errors, which `metrics run` must make of them too."""
    plain = outcome([sys.executable, *arguments], **options)
    assert outcome(command("run", *arguments), **options) == plain
    return plain


@pytest.fixture
def app(tmp_path: Path) -> Callable[[str], str]:
    """Write the application; it lies apart from the working directory."""

    def written(source: str) -> str:
        (tmp_path / "shop").mkdir(exist_ok=True)
        path = tmp_path / "shop" / "app.py"
        path.write_text(source)
        return str(path)

    return written


# -- as python would -------------------------------------------------------------------------------------------------


def test_a_script_finds_everything_as_under_python(app: Callable[[str], str]) -> None:
    code, out, _ = both(app(FACTS), "--help", "-m", "x y", "--", "--only", "")
    assert code == 0
    assert "'--help', '-m', 'x y', '--', '--only', ''" in out


def test_a_module_finds_everything_as_under_python_m(app: Callable[[str], str]) -> None:
    app(FACTS)
    Path("shop", "__init__.py").touch()
    Path("shop", "__main__.py").write_text(FACTS)
    assert both("-m", "shop.app", "-m", "--version")[0] == 0
    assert both("-m", "shop")[0] == 0


def test_a_folder_and_standard_input_can_be_the_application(app: Callable[[str], str]) -> None:
    Path(app(FACTS)).rename(Path("shop", "__main__.py"))
    assert both("shop", "-x")[0] == 0
    assert both("-", "-x", input="import sys\nprint(sys.argv)\n")[1] == "['-', '-x']\n"


def test_what_is_not_there_or_no_python_is_said_as_python_says_it(app: Callable[[str], str]) -> None:
    for arguments in (["missing.py"], ["-m", "missing"], [app("def broken(:")]):
        code, _, err = both(*arguments)
        assert code != 0
        assert err


@pytest.mark.parametrize(
    "leaving", ["sys.exit(3)", "sys.exit()", "sys.exit('why')", "sys.exit(256 + 7)", "os._exit(9)", "raise OSError(5)"]
)
def test_exit_codes_and_tracebacks_are_the_application_s(app: Callable[[str], str], leaving: str) -> None:
    code, _, err = both(app(f"import os, sys\ndef leave():\n    {leaving}\nleave()\n"))
    assert "instrument" not in err
    assert code == {"sys.exit(3)": 3, "sys.exit()": 0, "os._exit(9)": 9, "sys.exit(256 + 7)": 7}.get(leaving, 1)


def test_bytes_pass_from_input_to_output_and_nothing_is_added(app: Callable[[str], str]) -> None:
    data = bytes(range(256)) * 1000
    path = app("import sys\nsys.stdout.buffer.write(sys.stdin.buffer.read())\n")
    assert both(path, input=data, text=False)[1:] == (data, b"")


def test_only_two_variables_differ(app: Callable[[str], str]) -> None:
    path = app("import json, os\nprint(json.dumps(dict(os.environ)))\n")
    plain, ours = (json.loads(outcome(words)[1]) for words in ([sys.executable, path], command("run", path)))
    assert {name for name in ours if ours[name] != plain.get(name)} == {"PYTHONPATH", "INSTRUMENT_RUN"}
    assert plain.keys() <= ours.keys()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL, signal.SIGHUP])
def test_a_signal_reaches_the_application_itself_and_ends_it_as_it_would(
    app: Callable[[str], str], number: signal.Signals
) -> None:
    path = app("import os, time\nprint(os.getpid(), os.getppid(), flush=True)\ntime.sleep(60)\n")
    ends = []
    for words in ([sys.executable, path], command("run", path)):
        with subprocess.Popen(words, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
            assert running.stdout is not None
            assert running.stdout.readline().split() == [b"%d" % running.pid, b"%d" % os.getpid()]
            time.sleep(0.2)  # until it sleeps: docs/pythons.md
            running.send_signal(number)
            said, problem = running.communicate(timeout=60)
            ends.append((said, problem.splitlines()[-1:], running.returncode))
    assert ends[0] == ends[1]
    assert ends[1][2] == -number


def test_an_application_s_own_handler_gets_the_signal(app: Callable[[str], str]) -> None:
    path = app(
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(42))\nprint('ready', flush=True)\ntime.sleep(60)\n"
    )
    with subprocess.Popen(command("run", path), env=environment(), stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        running.stdout.readline()
        running.terminate()
        assert running.wait(60) == 42


def test_a_reader_that_leaves_early_is_the_application_s_business(app: Callable[[str], str]) -> None:
    path = app("while True:\n    print('x' * 1000)\n")
    for words in ([sys.executable, path], command("run", path)):
        with subprocess.Popen(words, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
            assert running.stdout is not None
            assert running.stderr is not None
            running.stdout.close()
            assert b"BrokenPipeError" in running.stderr.read()
            assert running.wait(60) == 1


def test_the_environment_s_own_sitecustomize_runs_and_its_errors_are_told_as_ever(
    app: Callable[[str], str], tmp_path: Path
) -> None:
    (tmp_path / "site").mkdir()
    theirs = tmp_path / "site" / "sitecustomize.py"
    variables = environment()
    variables["PYTHONPATH"] = os.pathsep.join((str(tmp_path / "site"), variables["PYTHONPATH"]))
    path = app("import sys, sitecustomize\nprint(sitecustomize.__file__, sys.theirs, sys.path)\n")
    theirs.write_text("import sys\nsys.theirs = getattr(sys, 'theirs', 0) + 1\n")
    assert both(path, env=variables)[1].startswith(f"{theirs} 1 [")
    path = app(INSTALLED)
    for failing in ("raise ValueError('theirs')", "import nosuchmodule"):
        theirs.write_text(failing + "\n")
        told = outcome([sys.executable, "-c", ""], env=variables)[2]
        assert "Error in sitecustomize" in told
        code, out, err = outcome(command("run", "--only", "threads", path), env=variables)
        assert (code, out, err) == (0, "['threads'] ['threads']\n", told * 2)  # once for the command itself


INSTALLED = "from instrument.integrations import _wanted, installed\nprint(sorted(_wanted), installed())\n"


# -- and recorded ------------------------------------------------------------------------------------------------------

SHOP = """
import sys, threading
from concurrent.futures import ThreadPoolExecutor
from instrument import query_span, track_tool
@track_tool
def look(name):
    return name.upper()
def ask():
    with query_span("what is unpaid?", agent="shop"), ThreadPoolExecutor() as pool:
        print(*pool.map(look, "abc"))
"""


def calls_recorded(process: Process) -> dict[str, int]:
    report = json.loads(process("report", "--format", "json", "--no-records").out)["report"]
    return {"queries": report["queries"]["total"], **{name: tool["calls"] for name, tool in report["tools"].items()}}


def test_integrations_work_without_a_line_of_code(app: Callable[[str], str], process: Process) -> None:
    path = app(SHOP + "ask()\n")
    assert process("run", path) == Answer(0, "A B C\n", "")
    query = json.loads(process("queries", "--format", "json").out)[0]
    assert (query["agent_type"], query["tool_calls"]) == ("shop", 3)
    assert calls_recorded(process) == {"queries": 1, "look": 3}


def test_settings_from_the_environment_hold(app: Callable[[str], str], process: Process, tmp_path: Path) -> None:
    path = app(SHOP + "ask()\n")
    assert process("run", path, INSTRUMENT_ENABLED="0").out == "A B C\n"
    assert not (tmp_path / "monitoring").exists()
    assert process("run", path, INSTRUMENT_DIRECTORY="elsewhere").out == "A B C\n"
    assert list((tmp_path / "elsewhere").glob("*/*.jsonl"))


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_processes_of_multiprocessing_are_recorded_too(
    app: Callable[[str], str], process: Process, method: str
) -> None:
    path = app(
        SHOP
        + f"""
import multiprocessing
if __name__ == "__main__":
    multiprocessing.set_start_method({method!r})
    with multiprocessing.Pool(1) as pool:
        pool.apply(ask)
        pool.close()
        pool.join()
"""
    )
    assert process("run", path) == Answer(0, "A B C\n", "")
    assert calls_recorded(process) == {"queries": 1, "look": 3}


def test_only_those_named_are_installed(app: Callable[[str], str], process: Process) -> None:
    path = app(INSTALLED)
    assert process("run", "--only", "threads", path).out == "['threads'] ['threads']\n"
    assert "'crewai'" in process("run", path).out
    children = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {INSTALLED!r}], check=True)\n"
    assert process("run", "--only", "threads", app(children)).out == "['threads'] ['threads']\n"


def test_a_child_whose_package_of_this_name_is_another_one_goes_on_as_ever(
    app: Callable[[str], str], tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "instrument.py").write_text("")
    child = "import sys\nprint([path for path in sys.path if 'startup' in path])"
    source = f"""
import os, subprocess, sys
os.environ["PYTHONPATH"] = {str(tmp_path / "other")!r} + os.pathsep + os.environ["PYTHONPATH"]
subprocess.run([sys.executable, "-c", {child!r}], check=True)
"""
    assert outcome(command("run", app(source))) == (0, "[]\n", "")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "Missing argument 'APP'"),
        (["-x", "app.py"], "No such option"),
        (["--", "-x.py"], "'-x.py' names no application"),
        (["--only", "crewai,faek", "app.py"], "no integration is called 'faek'; there are: anthropic, crewai"),
        (["--only", "", "app.py"], "no integration is called ''"),
    ],
)
def test_wrong_usage_is_one_line_and_runs_nothing(process: Process, arguments: list[str], told: str) -> None:
    Path("app.py").write_text("print('it ran')")
    answer = process("run", *arguments)
    assert (answer.code, answer.out, answer.err.count("\n")) == (2, "", 1)
    assert told in answer.err
