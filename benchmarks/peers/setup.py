"""Install the peers, each in an environment of its own: `python -m benchmarks setup`. The one part with a network."""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

from benchmarks.peers.environments import ENVIRONMENTS, MSGSPEC, Environment, cache


def build_all() -> int:
    """Build what is missing; returns 1 when one could not be built."""
    built = [build(name, environment) for name, environment in ENVIRONMENTS.items()]
    return int(not all(built))


def build(name: str, environment: Environment) -> bool:
    """Build one environment; returns whether it is there. One that is complete is left alone."""
    folder = cache() / name
    complete = folder / ".complete"
    wanted = " ".join((MSGSPEC, *environment.requirements))
    if complete.exists() and complete.read_text("utf-8") == wanted:
        print(f"{name}: there already")
        return True
    print(f"{name}: installing {wanted}", flush=True)
    venv.create(folder, with_pip=True, clear=True)
    python = next(path for path in (folder / "bin" / "python", folder / "Scripts" / "python.exe") if path.exists())
    if not _install(python, wanted.split()):
        print(f"{name}: could not be installed; it will stand as not installed in the comparison", file=sys.stderr)
        return False
    complete.write_text(wanted, "utf-8")
    return True


def _install(python: Path, requirements: list[str]) -> bool:
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    # The pip that comes with Python 3.11 cannot resolve some of these in reasonable time.
    return all(subprocess.run([*install, *what], check=False).returncode == 0 for what in (["-U", "pip"], requirements))
