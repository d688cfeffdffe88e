"""A day of traffic in a store, scraped every few minutes by a made-up clock, as blocks of a real Prometheus.

In the last hour and a half one agent is silent; in the last half hour another fails, is slow and its tool fails; at the
end records were dropped. So every panel has something to show, and every alert but one something to say.
"""

from __future__ import annotations

import math
import random
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from store_rows import SERIAL, write

from instrument.config import Config
from instrument.exporters.prometheus.exporter import Exporter
from instrument.rows.live import ModelFacts
from instrument.rows.stored import CallRow, ChoiceRow, HealthRow, Origin, QueryRow, Row

STEP, COARSE_STEP, FINE_SECONDS = 120, 300, 10_800
"""How often is scraped in the last three hours, and before."""

SECONDS = 86_400
INSTANCE = "box:8321"

_AGENTS = {"triage": 0.9, "billing": 1.5, "roaming": 1.9, "research": 9.0, "night-shift": 2.0}
_TOOLS = {
    "triage": "classify",
    "billing": "find_bills",
    "roaming": "find_plans",
    "research": "search",
    "night-shift": "count",
}
_PARENT = "01234567-89ab-7cde-8f01-23456789abcd"
_SAMPLE = re.compile(r"([^#]\S*(?:\{.*?\})?) (\S+)(?: # .*)?")


def rows(end: float, number: int) -> list[Row]:
    """The day's records, each with its end before `end`, by their ends."""
    chance = random.Random(11)
    found: list[Row] = []
    for place in range(number):
        ago = SECONDS * (1 - place / number)
        agent = chance.choices(list(_AGENTS), (30, 25, 20, 10, 15))[0]
        if agent == "night-shift" and ago < 5400:
            continue
        found.append(_query(chance, end - ago, agent, SERIAL + place, incident=agent == "billing" and ago < 1800))
    for place in range(180):  # who fails is asked again
        found.append(_query(chance, end - place * 10, "billing", SERIAL + number + place, incident=True))
    found.append(HealthRow(int((end - 420) * 1e6), {"full": 7}, {"redaction": 2}, Origin("box", 1)))
    return sorted(found, key=_ended)


def _ended(row: Row) -> float:
    return (row.started + row.duration / 1e3 if isinstance(row, QueryRow) else row.time) / 1e6


def _query(chance: random.Random, ended: float, agent: str, serial: int, *, incident: bool) -> QueryRow:
    seconds = chance.lognormvariate(math.log(_AGENTS[agent] * (8 if incident else 1)), 0.4)
    took = int(seconds * 1e9)
    failed = chance.random() < (0.6 if incident else 0.02)
    began = int((ended - seconds) * 1e6)
    facts = ModelFacts(
        chance.choice(("small-1", "large-2")),
        "local",
        chance.randrange(200, 3000),
        chance.randrange(20, 500),
        cached_tokens=100,
        reasoning_tokens=15,
        first_chunk=took // 8,
        cost_usd=chance.random() / 50,
    )
    refused = failed and chance.random() < 0.2
    calls = [
        CallRow(
            _TOOLS[agent],
            took // 20,
            duration=took // 4,
            status="error" if failed else "ok",
            error="TimeoutError" if failed else None,
        ),
        CallRow(
            f"query {agent.capitalize().replace('-', '')}",
            took // 10,
            duration=took // 8,
            parent=0,
            kind="graphql",
            status="error" if refused else "ok",
            error="GraphQLError" if refused else None,
        ),
        CallRow("chat", took // 3, duration=took // 2, kind="model", facts=facts),
    ]
    return QueryRow(
        began,
        serial,
        agent,
        "unpaid bills",
        "Agent.answer",
        calls,
        took,
        2048,
        status="error" if failed else chance.choices(("ok", "cancelled"), (98, 2))[0],
        error="TimeoutError" if failed else None,
        message="the server did not answer" if failed else None,
        first_chunk=took // 3 if chance.random() < 0.5 else None,
        parent=_PARENT if chance.random() < 0.03 else None,
        selection=ChoiceRow(began - 50, agent, chance.random(), "the pattern"),
        entities=chance.sample(["customers", "bills", "plans"], chance.randrange(3)) or None,
        metrics={"score": chance.random()} if chance.random() < 0.3 else None,
        input_tokens=facts.input_tokens,
        output_tokens=facts.output_tokens,
        cached_tokens=facts.cached_tokens,
        reasoning_tokens=facts.reasoning_tokens,
        cost_usd=facts.cost_usd,
        model=facts.model,
        origin=Origin("box", 42),
    )


def scraped(folder: Path, end: float, number: int = 6000) -> Path:
    """Write the day into a store, step by step, and every page of its exporter into one OpenMetrics file."""
    store = folder / "monitoring"
    store.mkdir(mode=0o700)
    waiting = rows(end, number)
    exporter = Exporter(store, Config(directory=str(store)), lambda sentence: None)
    headers: dict[str, list[str]] = {}
    samples: dict[str, dict[str, list[str]]] = {}
    place, moment = 0, end - SECONDS
    while moment <= end:
        first = place
        while place < len(waiting) and _ended(waiting[place]) <= moment:
            place += 1
        write(store, waiting[first:place])
        _take(exporter.page(open_metrics=True, reader="test").decode(), moment, headers, samples)
        if end - 3600 <= moment < end - 3600 + STEP:
            with open(next(store.glob("2*/*.jsonl")), "ab") as segment:
                segment.write(b"no record\n")
        moment += COARSE_STEP if moment < end - FINE_SECONDS else STEP
    exporter.close()
    file = folder / "day.om"
    with open(file, "w", encoding="utf-8") as stream:
        for family, lines in headers.items():
            stream.writelines(f"{line}\n" for line in lines)
            for head, values in samples.get(family, {}).items():
                stream.writelines(f"{head} {value}\n" for value in values)
        stream.write("# EOF\n")
    return file


def _take(page: str, moment: float, headers: dict[str, list[str]], samples: dict[str, dict[str, list[str]]]) -> None:
    family = ""
    for line in page.splitlines():
        if line.startswith("# "):
            if line != "# EOF":
                family = line.split(" ")[2]
                if line not in headers.setdefault(family, []):
                    headers[family].append(line)
            continue
        found = _SAMPLE.fullmatch(line)
        assert found is not None, line
        samples.setdefault(family, {}).setdefault(_labelled(found[1]), []).append(f"{found[2]} {moment:.0f}")


def _labelled(head: str) -> str:
    """The series as Prometheus keeps it: with the target that it came from."""
    name, brace, rest = head.partition("{")
    labels = f'instance="{INSTANCE}",job="agents"'
    return f"{name}{{{labels},{rest}" if brace else f"{name}{{{labels}}}"


class Prometheus:
    """A running Prometheus that holds a store's day until `end`, asked over HTTP."""

    def __init__(self, url: str, store: Path, end: float) -> None:
        self.url = url
        self.store = store
        self.end = end

    def get(self, path: str, **parameters: object) -> Any:
        """The data of an answer; an error of Prometheus is an AssertionError."""
        query = urllib.parse.urlencode(parameters)
        try:
            with urllib.request.urlopen(f"{self.url}/api/v1/{path}?{query}", timeout=30) as answer:
                found = msgspec.json.decode(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                raise AssertionError(f"{parameters}: {error.read().decode()}") from None
        assert not found.get("warnings"), found
        return found["data"]

    def at_once(self, expr: str, moment: float | None = None) -> list[Any]:
        """The vector that an expression has at the end of the day, or at another moment."""
        return list(self.get("query", query=expr, time=moment or self.end)["result"])

    def over_time(self, expr: str, step: int = 300) -> list[Any]:
        """The series that an expression has over the day."""
        begin = self.end - SECONDS + 3600
        return list(self.get("query_range", query=expr, start=begin, end=self.end, step=step)["result"])


@contextmanager
def prometheus(programs: list[str], folder: Path) -> Iterator[Prometheus]:
    """A Prometheus that holds the day."""
    program, promtool = programs
    end = float(int(time.time()) // COARSE_STEP * COARSE_STEP)
    file = scraped(folder, end)
    data = folder / "data"
    subprocess.run(
        [promtool, "tsdb", "create-blocks-from", "openmetrics", str(file), str(data)],
        check=True,
        capture_output=True,
        timeout=300,
    )
    (folder / "prometheus.yml").write_text("{}\n")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    running = subprocess.Popen(
        [
            program,
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={data}",
            f"--web.listen-address={address}",
            "--log.level=error",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait(f"http://{address}/-/ready")
        yield Prometheus(f"http://{address}", folder / "monitoring", end)
    finally:
        running.terminate()
        running.wait(30)


def _wait(url: str) -> None:
    until = time.monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.2)


if __name__ == "__main__":
    from programs import needs

    with prometheus(needs("prometheus", "promtool"), Path(sys.argv[1])) as kept:
        print(kept.url, datetime.fromtimestamp(kept.end, UTC), flush=True)
        time.sleep(float(sys.argv[2]))
