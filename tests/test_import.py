"""What `import instrument` does not do, and what the command and the figures may rely on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def ran(program: str, *options: str, folder: Path) -> str:
    """What a program prints, run in an empty folder."""
    done = subprocess.run(
        [sys.executable, *options, "-c", program],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_import_brings_in_neither_frameworks_nor_what_only_the_command_needs(tmp_path: Path) -> None:
    known = "wrapt duckdb typer rich asyncio crewai openai logging socket tomllib hashlib multiprocessing sqlite3"
    program = f"import sys\nimport instrument\nprint([name for name in {known.split()} if name in sys.modules])"
    assert ran(program, folder=tmp_path) == "[]\n"


def test_import_reads_no_settings_touches_no_file_starts_no_thread_and_sets_no_signal_handler(tmp_path: Path) -> None:
    (tmp_path / "instrument.toml").write_text("this is no TOML")
    program = """
import msgspec, os, signal, sys, threading
opened, read = [], []
sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == "open" else None)
class Environment(dict):
    def __getitem__(self, key): read.append(key); return super().__getitem__(key)
    def get(self, key, *more): read.append(key); return super().get(key, *more)
    def __contains__(self, key): read.append(key); return super().__contains__(key)
os.environ = Environment(os.environ)
import instrument
print([path for path in opened if not path.endswith((".py", ".pyc", ".so"))])
print([name for name in read if name.startswith("INSTRUMENT")], threading.active_count())
print(signal.getsignal(signal.SIGTERM) is signal.SIG_DFL)
"""
    assert ran(program, "-B", folder=tmp_path) == "[]\n[] 1\nTrue\n"
    assert os.listdir(tmp_path) == ["instrument.toml"]
