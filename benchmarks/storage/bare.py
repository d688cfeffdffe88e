"""The figures of a report as bare DuckDB queries, and as the product's first design had them: for comparison.

`python -m benchmarks.storage.bare duckdb STORE` or `seed METRICS_JSON`; prints a few figures, so that both sides can be
seen to have done the work.
"""

from __future__ import annotations

import json
import sys
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

FIGURES = (
    "count(*), count(*) FILTER (s IS NOT NULL AND s <> 'closed'), avg(d), min(d), max(d),"
    " quantile_cont(d, [0.5, 0.95, 0.99]), count(*) FILTER (d > 5e9), count(*) FILTER (d > 30e9)"
)


def with_duckdb(store: Path) -> dict[str, Any]:
    """Ask the compacted files directly."""
    import duckdb

    connection = duckdb.connect()
    lines = f"read_parquet('{store}/*/*.parquet', union_by_name = true, hive_partitioning = false)"
    total = connection.execute(f"SELECT {FIGURES} FROM {lines} WHERE type IS NULL").fetchone()
    agents = connection.execute(f"SELECT a, {FIGURES} FROM {lines} WHERE type IS NULL GROUP BY a").fetchall()
    calls = connection.execute(
        f"SELECT c.k, c.n, count(*), count(c.e), avg(c.d), quantile_cont(c.d, 0.95)"
        f" FROM (SELECT unnest(c) AS c FROM {lines}) GROUP BY ALL"
    ).fetchall()
    connection.execute(
        f"SELECT entity, count(*) FROM (SELECT unnest(entities) AS entity FROM {lines}) GROUP BY ALL"
    ).fetchall()
    connection.execute(f"SELECT avg(selection.score), count(selection.score) FROM {lines}").fetchall()
    connection.execute(f"SELECT e, count(*) FROM {lines} WHERE e IS NOT NULL GROUP BY ALL").fetchall()
    assert total is not None
    return {"total": total[0], "agents": len(agents), "calls": len(calls)}


def as_the_seed(file: Path) -> dict[str, Any]:
    """Load one metrics.json whole and count in loops."""
    data = json.loads(file.read_text("utf-8"))
    queries = data["queries"]
    durations: dict[str, list[float]] = defaultdict(list)
    entities: Counter[str] = Counter()
    errors: Counter[str] = Counter()
    for query in queries:
        durations[query["agent_type"]].append(query["duration_ms"])
        entities.update(query["entities_detected"])
        if not query["success"]:
            errors[query["error_type"]] += 1
    everything = sorted(duration for own in durations.values() for duration in own)
    percentiles = [everything[int(len(everything) * share)] for share in (0.5, 0.95, 0.99)]
    return {"total": len(queries), "agents": len(durations), "p95": percentiles[1]}


if __name__ == "__main__":
    ask = with_duckdb if sys.argv[1] == "duckdb" else as_the_seed
    print(json.dumps(ask(Path(sys.argv[2]))))
