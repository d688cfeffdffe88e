"""The one command: `python -m benchmarks [overhead] [ingredients] [peers] [storage] [following]`, all unless named.

`integrations`, `instructions`, `insight` and `scraping` are run only where they are named: they need the frameworks,
valgrind or perf, public data, or time. With `--short`, all but the peers: the form for CI. Exit codes: 0 every budget
held, 1 one did not, 2 wrong usage.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from benchmarks.results import Section

BENCHMARKS = ("overhead", "ingredients", "peers", "storage", "following")
ONLY_BY_NAME = ("integrations", "instructions", "insight", "scraping")
SHORT = ("overhead", "ingredients", "storage", "following")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmarks that were asked for, show them, and say whether the budgets held."""
    asked = _parser().parse_args(arguments)
    if asked.benchmark == ["setup"]:
        from benchmarks.peers import setup

        return setup.build_all()
    if asked.benchmark == ["promises"]:
        from benchmarks import promises

        return promises.write()
    from benchmarks import machine, rendering

    sections = [machine.describe()]
    rendering.show(sections[0])
    for name in asked.benchmark or (SHORT if asked.short else BENCHMARKS):
        sections.append(_run(name, asked))
        rendering.show(sections[-1])
    if asked.json:
        asked.json.write_bytes(rendering.as_json(sections))
    if asked.markdown:
        asked.markdown.write_text(rendering.markdown(sections), "utf-8")
    rendering.show_verdict(sections)
    return int(any(not check.held for section in sections for check in section.checks))


def _run(name: str, asked: argparse.Namespace) -> Section:
    run = import_module(f"benchmarks.{name}").run
    more = {"storage": {"large": asked.large}, "insight": {"data": asked.data}}.get(name, {})
    section: Section = run(short=asked.short, **more)
    return section


def _known(name: str) -> str:
    if name not in (*BENCHMARKS, *ONLY_BY_NAME, "setup", "promises"):
        raise argparse.ArgumentTypeError(f"there is no {name!r}; there are {', '.join(BENCHMARKS)}, setup and promises")
    return name


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__, allow_abbrev=False)
    parser.add_argument(
        "benchmark",
        nargs="*",
        type=_known,
        metavar="BENCHMARK",
        help=f"which of {', '.join(BENCHMARKS)}; all unless named;"
        " `setup`, alone, installs the peers, each in an environment of its own (the one part that needs"
        " a network); `promises`, alone, writes what budgets.toml promises into docs/overhead.md",
    )
    parser.add_argument("--short", action="store_true", help="some five minutes, for CI: no peers, no long queries")
    parser.add_argument("--large", action="store_true", help="storage: 10 million queries too (10 GB of disk)")
    parser.add_argument("--data", type=Path, metavar="DIRECTORY", help="insight: where the public series lie")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables there")
    return parser


if __name__ == "__main__":
    sys.exit(main())
