from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from store_rows import NOON, SERIAL, query, write

from instrument.analysis.filters import Filter, names, parsed, picked
from instrument.analysis.matching import check, matches
from instrument.analysis.report import check_agent
from instrument.errors import UsageError
from instrument.rows.stored import CallRow, ChoiceRow, SelectionRow, StandaloneCallRow, id_of
from instrument.store.tables import Tables, open_store

TIME = int(NOON.timestamp() * 1e6)
ROWS = [
    query(
        NOON, "simple", user_input="Overdue INVOICES", attributes={"tenant": "north", "version": 1.4, "a.b/c~d": True}
    ),
    query(
        NOON + timedelta(seconds=1),
        "crewai",
        serial=SERIAL + 1,
        duration=6_000_000_000,
        status="error",
        error="TimeoutError",
        message="it took too long",
        entities=["bills", "customers"],
        calls=[
            CallRow("find_customers", 0, duration=5),
            CallRow("query Customers", 0, duration=5, kind="graphql", status="error", error="ValueError"),
        ],
        attributes={"tenant": 'it\'s "south"', "version": "2"},
        metrics={"score": 0.5, "tenant_count": 3},
        selection=ChoiceRow(TIME, "crewai", 0.85, "many entities"),
        input_tokens=1200,
        output_tokens=300,
        model="GPT-large",
    ),
    query(NOON + timedelta(seconds=2), None, serial=SERIAL + 2, status="cancelled", attributes={"session.id": "s1"}),
]
IDS = [id_of(row) for row in ROWS]


@pytest.fixture
def tables(tmp_path: Path) -> Iterator[Tables]:
    loose = [
        StandaloneCallRow(TIME, "alone", duration=5),
        SelectionRow(TIME, "simple", "nobody asked", 0.5),
    ]
    write(tmp_path, [*ROWS, *loose])
    with open_store(tmp_path) as opened:
        yield opened


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ((), [0, 1, 2]),
        ("agent=crewai", [1]),
        ("agent!=crewai", [0, 2]),
        ("agent_type=unknown", [2]),
        ("status!=ok", [1, 2]),
        ("outcome=failed", [1]),
        ("outcome=cancelled", [2]),
        ("duration>5s", [1]),
        ("duration>=6000", [1]),
        ("duration<=1000ms", [0, 2]),
        ("duration < 0.1m", [0, 2]),
        ("model~gpt", [1]),
        ("model!~gpt", [0, 2]),
        ("model=", [0, 2]),
        ("input~invoices", [0]),
        ("error=TimeoutError", [1]),
        ("error=cancelled", [2]),
        ("error=", [0]),
        ("message~LONG", [1]),
        ("entity=bills", [1]),
        ("entity!=bills", [0, 2]),
        ("entity~cust", [1]),
        ("entity=", [0, 2]),
        ("tool=find_customers", [1]),
        ("tool!=find_customers", [0, 2]),
        ("tool=alone", []),
        ("operation~customers", [1]),
        ("operation=", [0, 2]),
        ("call_error=ValueError", [1]),
        ("complexity>0.8", [1]),
        ("reason~entities", [1]),
        ("tokens>1000", [1]),
        ("input_tokens=", [0, 2]),
        ("calls=2", [1]),
        ("session=s1", [2]),
        ("tenant=north", [0]),
        ("tenant!=north", [1, 2]),
        ('tenant=it\'s "south"', [1]),
        (r'''tenant="it's \"south\""''', [1]),
        ("version=1.40", [0]),
        ("version>1.5", [1]),
        ("'a.b/c~d'=true", [0]),
        ("score>=0.5", [1]),
        ("score!=0.5", [0, 2]),
        ("metric:score=0.5", [1]),
        ("attribute:tenant=north", [0]),
        (["tenant=north", "agent=simple"], [0]),
        (["tenant=north", "agent=crewai"], []),
        (f"id={IDS[1]}", [1]),
        ("agent=' OR true --", []),
        ("tenant=$where_0_ OR true", []),
    ],
    ids=str,
)
def test_filters_pick_queries_their_calls_and_their_selections(
    tables: Tables, where: str | list[str], expected: list[int]
) -> None:
    found = picked(tables, where)
    assert [row[0] for row in found.rows("SELECT query_id FROM queries ORDER BY started_us")] == [
        IDS[n] for n in expected
    ]
    assert [record.query_id for record in found.records()] == [IDS[n] for n in expected]
    whole = [record for record in tables.records() if matches(parsed(where), record)]
    assert [record.query_id for record in whole] == [IDS[n] for n in expected]
    assert [record.query_id for record in found.records("NOT success")] == [IDS[n] for n in expected if n]
    if where:
        assert found.rows("SELECT count(*) FROM calls") == [(2 * (1 in expected),)]
        assert found.rows("SELECT count(*) FROM selections WHERE query_id IS NOT NULL") == [(1 in expected,)]
        assert [*found.loose_calls(), *found.loose_selections()] == []
    assert tables.rows("SELECT count(*) FROM queries") == [(3,)]


@pytest.mark.parametrize(
    ("where", "told"),
    [
        ("agent", "no filter"),
        ("=x", "no filter"),
        ("tennant=north", "did you mean tenant?"),
        ("agnet=x", "did you mean agent?"),
        ("zzzzzz=1", "names are agent"),
        ("duration>soon", "500ms"),
        ("duration~5", "is a number"),
        ("tokens>many", "is no number"),
        ("agent>x", "is a text"),
        ("entity>x", "is a text"),
        ("tool>x", "is a text"),
    ],
)
def test_a_filter_that_is_none_says_what_would_be_one(tables: Tables, where: str, told: str) -> None:
    with pytest.raises(UsageError) as caught:
        picked(tables, where)
    [_, record, _] = tables.records()
    if told.startswith(("500", "is ")):
        with pytest.raises(UsageError, match=re.escape(told)):
            matches(parsed(where), record)
        with pytest.raises(UsageError, match=re.escape(told)):
            check(parsed(where))
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_over_nothing_no_name_is_wrong(tmp_path: Path) -> None:
    write(tmp_path, [])
    with open_store(tmp_path) as empty:
        assert picked(empty, "tenant=north").rows("SELECT count(*) FROM queries") == [(0,)]


def test_two_choices_from_one_store_do_not_disturb_each_other(tables: Tables) -> None:
    north, south = picked(tables, "tenant=north"), picked(tables, "tenant~south")
    for chosen, agent in ((north, "simple"), (south, "crewai"), (north, "simple")):
        assert chosen.rows("SELECT agent_type FROM queries") == [(agent,)]
        check_agent(chosen, agent)


@pytest.mark.parametrize("text", ["agent=crewai", "duration>5s", '"a b"!~"  x"', "model=", r'x="a\"b\\"'])
def test_a_filter_reads_back_from_what_it_shows(text: str) -> None:
    [read] = parsed(text)
    assert parsed(str(read)) == (read,)


def test_what_can_be_filtered_by_is_known(tables: Tables) -> None:
    assert {"agent", "tool", "tenant", "a.b/c~d", "score"} <= set(names(tables))
    assert parsed([Filter("agent", "=", "x")]) == (Filter("agent", "=", "x"),)
