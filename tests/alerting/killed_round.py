"""One evaluation by a process that kills itself before or after the n-th time that it writes the state, or sends."""

from __future__ import annotations

import os
import signal
import sys
from datetime import datetime
from pathlib import Path

from instrument.alerting import evaluator, state_file, targets
from instrument.alerting.rules import read_rules
from instrument.config import Config

when, number, now = sys.argv[1], int(sys.argv[2]), datetime.fromisoformat(sys.argv[3])
counts: dict[str, int] = {}


def dying(name: str, function):  # type: ignore[no-untyped-def]
    def called(*arguments, **options):  # type: ignore[no-untyped-def]
        counts[name] = counts.get(name, 0) + 1
        if when == f"before {name}" and counts[name] == number:
            os.kill(os.getpid(), signal.SIGKILL)
        result = function(*arguments, **options)
        if when == f"after {name}" and counts[name] == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    return called


state_file.write_file = dying("write", state_file.write_file)
targets.send = dying("send", targets.send)
evaluator.check_once(Path("monitoring"), Config(), read_rules(Path.cwd()), now)
