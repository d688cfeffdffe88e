"""Fuzzing by coverage, with atheris (`pip install atheris`; where it installs): the targets of the suite, for longer.

    python tests/fuzz.py [--seconds 60] [--findings DIRECTORY] [TARGET ...]

Without a target all of them take their turn, each in a process of its own. What breaks one is written to the directory
of findings, and the command ends with status 1; it becomes an explicit case in keeping/test_fuzzing.py.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "keeping"), str(HERE.parent), str(HERE.parent / "cli")]

ENTRY = {
    "query_id": "019a1b2c-3d4e-7000-8000-000000000001",
    "user_input": "=1",
    "agent_type": "a",
    "start_time": "2025-10-15T06:30:00.000Z",
    "duration_ms": 5,
    "success": True,
    "entities_detected": ["x"],
    "calls": [{"kind": "tool", "name": "t", "start_ms": 0, "duration_ms": 1, "success": True}],
    "attributes": {"a": [1, "\\"]},
}
SELECTION = {"timestamp": "2025-10-15T06:30:00Z", "selected_agent": "a", "complexity_score": 0.5, "query_id": ""}
HEADER = b"timestamp,query_id,agent_type,duration_ms,success,entities_detected,tool_calls,graphql_queries\n"
LINE = (
    b'{"t":1760509800000000,"i":5,"n":"n","a":"a","q":"x","d":5,"c":[{"n":"t","b":0,"d":1}],"attributes":{"a":"b"}}\n'
)
SECRETS = "ana@example.com +91 98765 43210 4111 1111 1111 1111 password=hunter22 sk-abcdefghijklmnop1"

JSON = json.dumps({"queries": [ENTRY], "agent_selections": [SELECTION]}).encode()
CSV = HEADER + b'2025-10-15T06:30:00Z,q,a,5,true,"x,y",1,0\n'
TOML = b'[tool.agent-instrument]\nredact = ["email", "a+"]\nsample_rate = 0.5\ndirectory = "x"\n'

Target = Callable[[bytes], None]

NAMES = (
    *("import-json", "import-csv", "import-segment", "import-parquet", "store-segment", "store-parquet"),
    *("settings", "redaction", "drawing", "csv"),
)


def targets() -> dict[str, tuple[list[bytes], Target]]:
    """Of every target, what it begins with and what takes an input."""
    import fuzz_targets as those

    def text_of(content: bytes) -> str:
        return content.decode("utf-8", "surrogateescape")

    def settings(content: bytes) -> None:
        text = text_of(content)
        those.configured({}, text)
        those.configured({}, "", text)
        name, _, value = text.partition("=")
        those.configured({f"INSTRUMENT_{name.strip().upper()}": value.strip()} if name.isidentifier() else {})

    def redaction(content: bytes) -> None:
        those.redacted(text_of(content), ("email", "phone", "card", "token"), len(content) // 2)
        those.redacted_by(lambda text: text[::-1] * 3, text_of(content))

    return {
        "import-json": ([JSON, b"[]", b"["], those.imported),
        "import-csv": ([CSV], those.imported),
        "import-segment": ([LINE, LINE * 3 + b"{"], those.imported),
        "import-parquet": ([parquet()], those.imported),
        "store-segment": ([LINE, b"\n\n", b"\xff"], those.read_beside),
        "store-parquet": ([parquet()], lambda content: those.read_beside(content, ".parquet")),
        "settings": ([TOML, TOML.partition(b"\n")[2], b"buffer_size = 5"], settings),
        "redaction": ([SECRETS.encode(), *(part.encode() for part in SECRETS.split())], redaction),
        "drawing": ([b"\x1b[31m[red]x[/red]", "\u202e".encode()], lambda content: those.drawn(text_of(content))),
        "csv": ([b"=1+1", b"'@x,y\\"], lambda content: those.through_csv(text_of(content), text_of(content).split())),
    }


def parquet() -> bytes:
    """A compacted file."""
    from datetime import UTC, datetime

    import fuzz_targets as those

    with tempfile.TemporaryDirectory() as folder:
        day = Path(folder, those.DAY)
        day.mkdir()
        (day / "100000-1-cccccccc.jsonl").write_bytes(LINE)
        those.compact(folder, now=datetime(2025, 10, 17, tzinfo=UTC), retention_days=30)
        [file] = day.glob("*.parquet")
        return file.read_bytes()


def fuzz(name: str, seconds: int, findings: Path) -> None:
    """Fuzz one target in this process, which ends with it."""
    import atheris

    with atheris.instrument_imports(include=["instrument", "instrument_cli"]):
        seeds, take = targets()[name]
    found = findings / name
    found.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as corpus:
        for number, seed in enumerate(seeds):
            Path(corpus, str(number)).write_bytes(seed)
        options = [f"-max_total_time={seconds}", f"-artifact_prefix={found}/", "-timeout=60", "-rss_limit_mb=4096"]
        arguments: list[Any] = [sys.argv[0], *options, "-max_len=20000", "-print_final_stats=1", corpus]
        atheris.Setup(arguments, take)
        atheris.Fuzz()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(NAMES))
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--findings", type=Path, default=Path("build/fuzzing"))
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    names = given.targets or list(NAMES)
    if unknown := set(names) - set(NAMES):
        parser.error(f"no such target: {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    if given.here:
        fuzz(names[0], given.seconds, given.findings)
    failed = []
    for name in names:
        command = [
            sys.executable,
            __file__,
            "--here",
            name,
            f"--seconds={given.seconds}",
            f"--findings={given.findings}",
        ]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
        last = [line for line in done.stdout.splitlines() if "number_of_executed_units" in line]
        print(
            f"{name}: {last[-1].split()[-1] if last else 'no'} inputs", "FAILED" if done.returncode else "", flush=True
        )
        if done.returncode:
            print(done.stdout[-3000:])
            failed.append(name)
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
