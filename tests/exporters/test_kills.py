"""Whatever leaves the store, killed with SIGKILL at each of its steps, and run again: nothing is lost or counted twice.

A step is a file opened, brought to the disk or renamed, or a request that a receiver has taken.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from killed import Killing, killing
from otlp_receivers import Misbehaving, misbehaving
from store_rows import NOON, SERIAL, query, write

STEPS = """
from instrument import files
from instrument.alerting import evaluator, targets
from instrument.alerting.rules import read_rules
from instrument.config import Config
from instrument.exporters.otlp import shipping
from instrument.exporters.otlp.receiver import Receiver
from instrument.exporters.prometheus.exporter import Exporter

store = Path(sys.argv[1])

def scrape():
    exporter = Exporter(store, Config(), print)
    while not exporter.catch_up(10):
        pass
    Path(sys.argv[2]).write_bytes(exporter.page(open_metrics=False, reader="one"))

def ship():
    shipping.ship(store, sys.argv[2], signals=("traces", "metrics", "logs"))

def ship_records():
    shipping.ship(store, sys.argv[2], signals=("traces", "logs"))

class Steps:
    taken = staticmethod(lambda: None)

def then_a_step(function):
    def call(*arguments, **more):
        answer = function(*arguments, **more)
        Steps.taken()
        return answer
    return call

Receiver.send = then_a_step(Receiver.send)
COMMANDS = {"scrape": scrape, "ship": ship, "ship_records": ship_records}
PLACES = [(os, "fsync"), (os, "rename"), (files, "open_private"), (Receiver, "send"), (Steps, "taken")]
"""

QUERIES = re.compile(r"^agent_instrument_queries_total\{(.*)\} (\d+)$", re.MULTILINE)
BEGINNING = 20


class Store:
    """A store that grows by two queries at a time, of which one failed."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.queries = 0
        self.grow(BEGINNING)

    def grow(self, pairs: int = 1) -> None:
        for _ in range(pairs):
            number = self.queries
            moment = NOON + timedelta(seconds=number)
            rows = [
                query(moment, serial=SERIAL + number),
                query(moment, serial=SERIAL + number + 1, status="error", error="KeyError", message="no plan"),
            ]
            write(
                self.directory,
                rows,
                f"{12 + number // 3600:02}{number // 60 % 60:02}{number % 60:02}-42-0badcafe.jsonl",
            )
            self.queries += 2


def killed_at_each_step(commands: Killing, command: str, store: Store) -> Iterator[tuple[int, bool]]:
    """Run a command over and over on a growing store, killed a step later each time, until it comes to its end.

    Gives each step, and whether the command was killed there.
    """
    for step in itertools.count(1):
        store.grow()
        going_on = commands.at_step(command, step)
        yield step, going_on
        if not going_on:
            return


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "monitoring")


def test_a_scrape_killed_at_any_step_loses_no_query_and_counts_none_twice(store: Store, tmp_path: Path) -> None:
    page, step, before = tmp_path / "page", 0, Counter[str]()
    with killing(store.directory, str(page), STEPS) as scrapes:
        scrapes.whole("scrape")
        page.unlink()
        for step, going_on in killed_at_each_step(scrapes, "scrape", store):
            assert page.exists() != going_on
            scrapes.whole("scrape")
            counted = Counter({labels: int(value) for labels, value in QUERIES.findall(page.read_text())})
            assert counted.total() == store.queries
            assert not before - counted
            before = counted
            page.unlink()
    assert step > 4


def test_a_shipper_of_all_signals_killed_at_any_step_loses_nothing_and_counts_nothing_twice(store: Store) -> None:
    step = 0
    with misbehaving() as receiver, killing(store.directory, receiver.address, STEPS) as shippers:
        for step, _ in killed_at_each_step(shippers, "ship", store):
            if step % 3 == 0:
                shippers.whole("ship")
                assert totals(receiver) == store.queries
        shippers.whole("ship")
        store.grow()
        shippers.whole("ship")
        assert totals(receiver) == store.queries
        assert len(receiver.ids()) == store.queries
        assert len(failures(receiver)) == store.queries / 2
        never_less(receiver)
    assert step > 12


def test_a_shipper_of_records_alone_killed_at_any_step_loses_none(store: Store) -> None:
    step = 0
    with misbehaving() as receiver, killing(store.directory, receiver.address, STEPS) as shippers:
        for step, _ in killed_at_each_step(shippers, "ship_records", store):
            pass
        assert len(receiver.ids()) == store.queries
        assert len(failures(receiver)) == store.queries / 2
    assert step > 6


def totals(receiver: Misbehaving, place: int = -1) -> int:
    """The queries of the newest request of metrics."""
    request = receiver.accepted["metrics"][place]
    return round(
        sum(
            point.as_double
            for resource in request.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == "agent_instrument.queries"
            for point in metric.sum.data_points
        )
    )


def failures(receiver: Misbehaving) -> set[str]:
    """The ids of the log records that came."""
    found: list[Any] = [
        each
        for request in receiver.accepted["logs"]
        for resource in request.resource_logs
        for scope in resource.scope_logs
        for each in scope.log_records
    ]
    return {pair.value.string_value for each in found for pair in each.attributes if pair.key == "log.record.uid"}


def never_less(receiver: Misbehaving) -> None:
    sums = [totals(receiver, place) for place in range(len(receiver.accepted["metrics"]))]
    assert sums == sorted(sums)
