"""GraphQL calls carry a keyed hash of their variables: equal ones are known, values are nowhere."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from instrument import track_graphql, track_query
from instrument.reading import open_store
from instrument.testing import capture

DOCUMENT = "query Bills($country: String) { bills(country: $country) { id } }"


@track_graphql
def execute(query: str, variables: dict[str, Any]) -> dict[str, Any]:
    return {"data": {}}


@track_graphql
async def execute_async(query: str, *, variable_values: Any = None) -> dict[str, Any]:
    return {"data": {}}


@track_graphql
def execute_with(query: str, **variables: Any) -> dict[str, Any]:
    return {"data": {}}


@track_graphql
def execute_other(query: str, timeout: int) -> dict[str, Any]:
    return {"data": {}}


def hashes(*calls: Any) -> list[str | None]:
    """The hashes of the calls that functions without arguments make inside one query."""

    @track_query(agent="billing")
    def ask(user_input: str) -> None:
        for call in calls:
            call()

    with capture() as captured:
        ask("unpaid bills")
    return [call.variables_hash for call in captured.queries[0].calls]


def test_calls_with_equal_variables_have_equal_hashes_whatever_the_order_of_their_keys() -> None:
    one, same, other = hashes(
        lambda: execute(DOCUMENT, {"country": "India", "first": 5}),
        lambda: execute(DOCUMENT, {"first": 5, "country": "India"}),
        lambda: execute(DOCUMENT, {"country": "Ghana", "first": 5}),
    )
    assert one is not None
    assert one == same != other


def test_what_an_application_changes_after_the_call_does_not_change_its_hash() -> None:
    variables = {"after": "a"}

    def page(cursor: str) -> None:
        variables["after"] = cursor
        execute(DOCUMENT, variables)

    first, second, again = hashes(lambda: page("a"), lambda: page("b"), lambda: page("a"))
    assert first == again != second


def test_variables_are_found_by_their_usual_names_alone() -> None:
    given, keywords, unknown = hashes(
        lambda: execute(DOCUMENT, {"country": "India"}),
        lambda: execute_with(DOCUMENT, country="India"),
        lambda: execute_other(DOCUMENT, 5),
    )
    assert given == keywords
    assert unknown is None


async def _ask_async() -> list[str | None]:
    @track_query(agent="billing")
    async def ask(user_input: str) -> None:
        await execute_async(DOCUMENT, variable_values={"country": "India"})
        await execute_async(DOCUMENT, variable_values={"country": "India"})
        await execute_async(DOCUMENT)

    with capture() as captured:
        await ask("unpaid bills")
    return [call.variables_hash for call in captured.queries[0].calls]


def test_asynchronous_calls_have_hashes_too() -> None:
    import asyncio

    one, same, without = asyncio.run(_ask_async())
    assert one == same != without
    assert None not in (one, without)


def test_a_call_without_variables_is_known_by_its_document_which_has_the_values() -> None:
    one, same, other, empty = hashes(
        lambda: execute("query { bill(id: 1) { sum } }", {}),
        lambda: execute("query { bill(id: 1) { sum } }", {}),
        lambda: execute("query { bill(id: 2) { sum } }", {}),
        lambda: execute("", {}),
    )
    assert one == same != other
    assert one is not None
    assert empty is None or empty != one


def test_variables_that_have_no_json_leave_the_call_without_a_hash_and_undisturbed() -> None:
    circle: dict[str, Any] = {}
    circle["itself"] = circle
    assert hashes(lambda: execute(DOCUMENT, {"file": object()}), lambda: execute(DOCUMENT, circle)) == [None, None]


def test_long_variables_are_hashed_by_all_that_they_hold() -> None:
    long = "x" * 50_000
    one, same, other = hashes(
        lambda: execute(DOCUMENT, {"text": long}),
        lambda: execute(DOCUMENT, {"text": long}),
        lambda: execute(DOCUMENT, {"text": long + "y"}),
    )
    assert one == same != other
    assert one is not None
    assert len(one) == 8


SCRIPT = """
import sys, instrument
from instrument import track_graphql, track_query
instrument.configure(directory=sys.argv[1], **eval(sys.argv[2]))
@track_graphql
def execute(query, variables): return {}
@track_query(agent="billing")
def ask(user_input): execute("query Bills { id }", {"country": "Indonesia"})
ask("unpaid bills")
execute("query Bills { id }", {"country": "Indonesia"})
"""


def record(directory: Path, **settings: Any) -> None:
    subprocess.run([sys.executable, "-c", SCRIPT, str(directory), repr(settings)], check=True, timeout=60)


def stored_hashes(directory: Path) -> list[str | None]:
    with open_store(directory) as store:
        return [found for (found,) in store.sql("SELECT variables_hash FROM calls").fetchall()]


def test_processes_share_the_store_s_key_and_no_value_is_on_disk(tmp_path: Path) -> None:
    record(tmp_path)
    record(tmp_path)
    found = stored_hashes(tmp_path)
    assert len(found) == 4
    assert len(set(found)) == 1
    assert found[0] is not None
    key = tmp_path / ".state" / "key"
    assert stat.S_IMODE(os.stat(key).st_mode) == 0o600
    assert not any(b"Indonesia" in file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())


def test_another_store_has_another_key_unless_the_setting_names_one(tmp_path: Path) -> None:
    for name, settings in {"a": {}, "b": {}, "c": {"hash_key": "k"}, "d": {"hash_key": "k"}}.items():
        record(tmp_path / name, **settings)
    a, b, c, d = (stored_hashes(tmp_path / name)[0] for name in "abcd")
    assert a != b
    assert c == d
    assert not (tmp_path / "c" / ".state" / "key").exists()


def test_the_setting_switches_hashes_off(tmp_path: Path) -> None:
    record(tmp_path, hash_variables=False)
    assert stored_hashes(tmp_path) == [None, None]
    assert not (tmp_path / ".state" / "key").exists()


def test_a_damaged_key_loses_no_record(tmp_path: Path) -> None:
    (tmp_path / ".state").mkdir()
    (tmp_path / ".state" / "key").write_bytes(b"short")
    record(tmp_path)
    found = stored_hashes(tmp_path)
    assert len(found) == 2
    assert found[0] == found[1] is not None


def run_metrics(*arguments: str | Path) -> None:
    subprocess.run([sys.executable, "-m", "instrument_cli", *map(str, arguments)], check=True, timeout=60)


def test_hashes_survive_an_export_and_its_import(tmp_path: Path) -> None:
    store, other, file = tmp_path / "store", tmp_path / "other", tmp_path / "metrics.json"
    record(store)
    run_metrics("export", "--directory", store, "--output", file)
    run_metrics("import", "--directory", other, file)
    assert stored_hashes(other) == stored_hashes(store) != [None, None]


def test_hashes_survive_compaction(tmp_path: Path) -> None:
    record(tmp_path)
    before = stored_hashes(tmp_path)
    today = next(folder for folder in tmp_path.iterdir() if folder.name.startswith("20"))
    today.rename(today.with_name(str(date.fromisoformat(today.name) - timedelta(days=2))))
    run_metrics("compact", "--directory", tmp_path)
    assert list(tmp_path.rglob("*.parquet"))
    assert stored_hashes(tmp_path) == before != [None, None]
