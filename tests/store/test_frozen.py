"""Every store that a released version wrote is read by this one, to the last field; `freeze.py` made them."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from freeze import FROZEN, freeze, seen

from instrument.store.upkeep.compaction import compact
from instrument.store.upkeep.forget_request import Wanted
from instrument.store.upkeep.forgetting import forget
from instrument.store.upkeep.repairing import repair

VERSIONS = sorted(path.name for path in FROZEN.glob("*") if path.is_dir())


def test_there_is_a_frozen_store() -> None:
    assert VERSIONS


@pytest.fixture(params=VERSIONS)
def frozen(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy of what a version froze: its store, and what it read in it."""
    return shutil.copytree(FROZEN / request.param, tmp_path / "frozen")


def expected(frozen: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((frozen / "expected.json").read_text())
    return found


def known(found: Any, like: Any) -> Any:
    """What was found, without the fields that the version which froze it did not know."""
    if isinstance(like, dict) and isinstance(found, dict):
        return {key: known(found.get(key), like[key]) for key in like}
    if isinstance(like, list) and isinstance(found, list) and len(like) == len(found):
        return [known(each, other) for each, other in zip(found, like, strict=True)]
    return found


def test_a_store_of_an_earlier_version_reads_as_it_did(frozen: Path) -> None:
    wanted = expected(frozen)
    assert len(wanted["queries"]) > 20
    assert known(seen(frozen / "store"), wanted) == wanted


def test_this_version_s_compaction_and_repair_keep_all_that_an_earlier_one_wrote(frozen: Path) -> None:
    wanted = expected(frozen)
    compact(frozen / "store", now=datetime(2026, 3, 20, tzinfo=UTC), retention_days=30)
    assert not list((frozen / "store").glob("*/*.jsonl"))
    assert known(seen(frozen / "store"), wanted) == wanted
    repair(frozen / "store")
    assert known(seen(frozen / "store"), wanted) == wanted | {"skipped": 0}


def test_what_an_earlier_version_wrote_can_be_forgotten_and_the_rest_stays(frozen: Path) -> None:
    wanted = expected(frozen)
    going = wanted["queries"][1]["query_id"]
    inside = {going} | {each["query_id"] for each in wanted["queries"] if each["parent_id"] == going}
    forget(frozen / "store", Wanted([going], None))
    stays = [each for each in wanted["queries"] if each["query_id"] not in inside]
    assert known(seen(frozen / "store")["queries"], stays) == stays


def test_freezing_gives_a_store_of_every_kind_that_reads_as_it_says(tmp_path: Path) -> None:
    freeze(tmp_path)
    wanted = expected(tmp_path)
    assert seen(tmp_path / "store") == wanted
    statuses = {each["status"] for each in wanted["queries"]}
    assert statuses == {"ok", "error", "cancelled", "closed", "abandoned"}
    assert all(wanted[part] for part in ("queries", "selections", "calls", "health", "skipped"))
    suffixes = sorted(file.suffix for file in tmp_path.glob("store/*/*"))
    assert suffixes == [".jsonl", ".jsonl", ".parquet", ".parquet"]
