"""The figures that comments give for their choices can be measured by anybody."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import prices
from benchmarks.prices import PRICES, lock_prices, lock_table, prices_table

PACKAGE = Path(__file__).parents[2] / "instrument"


def test_every_price_is_measured_and_stands_in_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prices, "REPEATS", 2)
    monkeypatch.setattr(prices, "PRICES", tuple(price._replace(times=20) for price in PRICES))
    found = prices.prices()
    assert set(found) >= {price.part for price in PRICES} - {"full parse of it"}
    assert all(ns >= 0 for ns in found.values())
    assert len(prices_table(found).rows) == len(found)


@pytest.mark.parametrize("file", sorted({price.said for price in PRICES if price.said}))
def test_every_file_that_is_named_for_its_figures_is_there(file: str) -> None:
    assert (PACKAGE / file).is_file()


def test_what_another_thread_costs_is_measured_beside_a_busy_one() -> None:
    found = lock_prices(0.05)
    assert list(found) == ["woken", "a look", "a write"]
    for one in found.values():
        assert one.busy.rounds >= 12
        assert len(one.waits_ns) >= 12
        assert one.waits_ns[0] > 0
    assert found["woken"].own_ns > 0
    assert len(lock_table(found).rows) == 3
