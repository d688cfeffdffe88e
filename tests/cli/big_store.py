"""A store of many queries over a week, the same every time, written straight into compacted files.

200,000 take a second or two, a million some seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb

from instrument.rows import columns

END = datetime(2026, 11, 22, tzinfo=UTC)
DAYS = 7
_MULTIPLIERS = (1, 618_033, 414_213, 732_051, 236_067, 645_751, 316_624, 605_551)


def chance(salt: int) -> str:
    """An SQL expression from 0 up to 1 that looks random, one for each row and salt."""
    return f"(md5_number_lower(concat(i, ' ', {salt})) % 1000003) / 1000003.0"


def quick_chance(salt: int) -> str:
    """Likewise, for a twentieth of the work: evenly spread, and less like chance."""
    return f"(i * {_MULTIPLIERS[salt]} % 1000003) / 1000003.0"


def fill(directory: Path, queries: int = 200_000, end: datetime = END, random: Callable[[int], str] = chance) -> None:
    """Write so many queries of three agents over the week before `end`; on the last evening one tool fails often."""
    directory.mkdir(mode=0o700, parents=True)
    with duckdb.connect() as connection:
        connection.execute("SET preserve_insertion_order = true")
        connection.execute(f"CREATE TABLE made AS {_rows(queries, end, random)}")
        day = (end - timedelta(days=DAYS)).replace(hour=0, minute=0, second=0, microsecond=0)
        while day < end:
            begin = int(day.timestamp() * 1e6)
            folder = directory / f"{day:%Y-%m-%d}"
            folder.mkdir(mode=0o700)
            connection.execute(
                f"COPY (SELECT {columns.NAMES} FROM made WHERE t >= {begin} AND t < {begin} + 86400000000 ORDER BY t)"
                f" TO {columns.literal(str(folder / 'made.parquet'))} (FORMAT parquet, COMPRESSION zstd)"
            )
            day += timedelta(days=1)


def _rows(queries: int, end: datetime, random: Callable[[int], str]) -> str:
    span = DAYS * 86_400_000_000
    known = {
        "t": "t",
        "i": "i",
        "n": "'Agent.answer'",
        "a": "agent",
        "q": "'unpaid bills in ' || ['India', 'Kenya', 'Peru'][1 + i % 3]",
        "d": "d",
        "c": f"""[
            {{n: 'find_customers', b: d // 10, d: (d * (0.1 + 0.3 * {random(5)}))::BIGINT, k: NULL, s: NULL, e: NULL}},
            {{n: ['payment_history', 'rank_customers'][1 + i % 2], b: d // 2, d: d // 4, k: NULL,
                s: CASE WHEN failed AND i % 2 = 0 THEN 'error' END,
                e: CASE WHEN failed AND i % 2 = 0 THEN 'TimeoutError' END}},
            {{n: 'query ' || ['Customers', 'Bills'][1 + i % 2], b: d // 2, d: d // 5, k: 'graphql', s: NULL,
                e: NULL}}]""",
        "r": f"({random(6)} * 4000)::BIGINT",
        "s": f"CASE WHEN failed THEN 'error' WHEN {random(4)} < 0.004 THEN 'cancelled' END",
        "e": "CASE WHEN failed THEN ['TimeoutError', 'GraphQLError'][1 + i % 2] END",
        "f": "CASE WHEN agent = 'crewai' THEN d // 3 END",
        "entities": "['customers', 'bills', 'plans'][:1 + i % 3]",
        "attributes": "json_object('tenant', ['north', 'south'][1 + i % 2])",
        "metrics": "CASE WHEN i % 4 = 0 THEN json_object('rows', i % 97) END",
        "input_tokens": "CASE WHEN agent <> 'simple' THEN 400 + i % 900 END",
        "output_tokens": "CASE WHEN agent <> 'simple' THEN 50 + i % 300 END",
        "model": "CASE WHEN agent <> 'simple' THEN 'large-1' END",
    }
    selected = ", ".join(
        f"({known[name]})::{kind} AS {name}" if name in known and name != "c" else f"NULL::{kind} AS {name}"
        for name, kind in columns.COLUMNS.items()
        if name != "c"
    )
    call = columns.COLUMNS["c"]
    base = f"""
        SELECT i, {int((end - timedelta(days=DAYS)).timestamp() * 1e6)} + (i * {span} // {queries}) AS t,
            ['simple', 'simple', 'simple', 'crewai', 'multi_step'][1 + ({random(1)} * 5)::INTEGER % 5] AS agent,
            (exp(20.5 + 1.1 * sqrt(-2 * ln(1 - {random(2)})) * cos(6.2831853 * {random(3)})))::BIGINT AS d,
            {random(7)} < CASE WHEN i > {queries} * 0.97 AND i < {queries} * 0.98 THEN 0.3 ELSE 0.02 END AS failed
        FROM range({queries}) AS numbers(i)"""
    empty = _empty_call(call)
    return f"SELECT {selected}, [struct_update_call(x) FOR x IN {known['c']}] AS c FROM ({base})".replace(
        "struct_update_call(x)", empty
    )


def _empty_call(kind: str) -> str:
    """A call's struct with all its fields, those that `x` lacks NULL."""
    fields = [field.strip().split(" ", 1) for field in kind[len("STRUCT(") : kind.rindex(")")].split(",")]
    given = {"n", "b", "d", "k", "s", "e"}
    return (
        "{" + ", ".join(f"{name}: {f'x.{name}' if name in given else f'NULL::{type_}'}" for name, type_ in fields) + "}"
    )
