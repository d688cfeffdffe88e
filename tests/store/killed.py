"""A command of the store killed with SIGKILL, at a given step that changes a file or at a random moment."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_UPKEEP = """
from datetime import datetime
from instrument.store.upkeep import compaction
from instrument.store.upkeep import forgetting
from instrument.store.upkeep import repairing
from instrument.store.upkeep.forget_request import Wanted

store = Path(sys.argv[1])
beside = [store / "metrics.json", store / "metrics.csv"]
COMMANDS = {
    "forget": lambda: forgetting.forget(store, Wanted([], sys.argv[2]), beside),
    "repair": lambda: repairing.repair(store),
    "compact": lambda: compaction.compact(store, now=datetime.fromisoformat(sys.argv[2]), retention_days=30),
}
PLACES = [(os, name) for name in ("pwrite", "rename", "unlink", "fsync", "link")]
forgetting._PAUSE_SECONDS = 0
"""
"""The commands that a store's upkeep has, and the functions whose calls are steps."""

_BEGINNING = """
import os, random, signal, sys, time
from pathlib import Path
"""

# Forks before DuckDB has started a thread. A step is a system call that changes a file; the last one is left half done.
_KILLING = """
def die_at(step):
    taken = 0
    def counted(function):
        def call(*arguments, **more):
            nonlocal taken
            taken += 1
            if taken == step:
                if function is pwrite:
                    pwrite(arguments[0], arguments[1][: len(arguments[1]) // 2], arguments[2])
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments, **more)
        return call
    pwrite = os.pwrite
    for holder, name in PLACES:
        setattr(holder, name, counted(getattr(holder, name)))

for line in sys.stdin:
    command, when = line.split()
    child = os.fork()
    if not child:
        if not when.startswith("after"):
            die_at(int(when))
        try:
            COMMANDS[command]()
            os._exit(0)
        finally:
            os._exit(1)
    if when.startswith("after"):
        time.sleep(random.uniform(0, float(when.removeprefix("after"))))
        os.kill(child, signal.SIGKILL)
    status = os.waitpid(child, 0)[1]
    print("killed" if os.WIFSIGNALED(status) else os.WEXITSTATUS(status), flush=True)
"""


class Killing:
    """Runs commands on one store and kills them."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def at_step(self, command: str, step: int) -> bool:
        """Run a command and kill it at its n-th step; returns whether it came that far."""
        return self._asked(f"{command} {step}")

    def whole(self, command: str) -> None:
        """Run a command to its end."""
        assert not self._asked(f"{command} 0")

    def at_random(self, command: str, seconds: float) -> bool:
        """Run a command and kill it within so many seconds; returns whether it was still running."""
        return self._asked(f"{command} after{seconds}")

    def _asked(self, line: str) -> bool:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline().strip()
        assert answer in ("killed", "0"), answer
        return answer == "killed"


@contextmanager
def killing(store: Path, argument: str, commands: str = _UPKEEP) -> Iterator[Killing]:
    """A process that runs commands on a store, each in a child of its own.

    `commands` is code that defines `COMMANDS`, functions by name, and `PLACES`, the functions whose calls are steps.
    """
    with subprocess.Popen(
        [sys.executable, "-c", _BEGINNING + commands + _KILLING, str(store), argument],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield Killing(process)
        finally:
            process.kill()
