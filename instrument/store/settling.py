"""What of the lines to import is new, and which selection belongs to which query.

The lines are in the table `staged`, in the order of their `ordinal`; those that are new end up in the table `fresh`.
"""

from __future__ import annotations

from instrument.rows import columns
from instrument.store import views
from instrument.store.tables import Tables

_SAME = """to_json({type: type, t: t, n: n, a: a, q: q, d: d, k: k, s: s, e: e, m: m, parent: parent, place: place,
    score: score, why: why, o: CASE WHEN type = 'health' THEN o END, dropped: dropped, problems: problems})"""
"""What makes two lines that are no queries the same; of calls and selections, exports do not say where they were."""

_KNOWN = f"""
CREATE TABLE known AS
SELECT query_id, bool_or(selection IS NOT NULL) AS selected
FROM queries
WHERE query_id IN (
    SELECT {views.QUERY_ID} FROM staged WHERE type IS NULL
    UNION SELECT parent FROM staged WHERE type = 'selection' AND parent IS NOT NULL)
GROUP BY query_id
"""

_KNOWN_CHOICES = """
CREATE TABLE known_choices AS
SELECT DISTINCT to_json({t: selection.t, a: selection.a, score: selection.score, why: selection.why,
    text: user_input}) AS choice
FROM queries
WHERE selection IS NOT NULL AND selection.t IN (SELECT t FROM staged WHERE type = 'selection')
"""

_FRESH_QUERIES = f"""
CREATE TABLE fresh AS
SELECT * FROM (SELECT *, {views.QUERY_ID} AS query_id FROM staged WHERE type IS NULL)
WHERE query_id NOT IN (SELECT query_id FROM known)
    AND ordinal IN (SELECT min(ordinal) FROM staged WHERE type IS NULL GROUP BY {views.QUERY_ID})
"""

_FRESH_LINES = f"""
CREATE TABLE fresh_lines AS
SELECT *, NULL::VARCHAR AS query_id FROM staged
WHERE ordinal IN (SELECT min(ordinal) FROM staged WHERE type IS NOT NULL GROUP BY {_SAME})
    AND {_SAME} NOT IN (SELECT {_SAME} FROM lines WHERE type IS NOT NULL)
    AND NOT (type = 'selection' AND parent IS NOT NULL
        AND parent IN (SELECT query_id FROM known WHERE selected))
    AND NOT (type = 'selection' AND to_json({{t: t, a: a, score: score, why: why, text: coalesce(parent, q)}})
        IN (SELECT choice FROM known_choices))
"""

# The first document's selector recorded its selections under the user's text, for want of the query's id.
_UNDER_THE_TEXT = """
UPDATE fresh_lines SET q = coalesce(q, parent), parent = NULL
WHERE type = 'selection' AND parent IS NOT NULL AND TRY_CAST(parent AS UUID) IS NULL
    AND parent NOT IN (SELECT query_id FROM fresh) AND parent NOT IN (SELECT query_id FROM known)
"""

_BY_ID = """
CREATE TABLE joined AS
SELECT fresh.query_id, min(fresh_lines.ordinal) AS ordinal
FROM fresh_lines JOIN fresh ON fresh.query_id = fresh_lines.parent
WHERE fresh_lines.type = 'selection' AND fresh.selection IS NULL
GROUP BY fresh.query_id
"""

_BY_TEXT = """
INSERT INTO joined
SELECT arg_min(query_id, started), ordinal FROM (
    SELECT fresh.query_id, fresh.t AS started, fresh_lines.ordinal
    FROM fresh_lines JOIN fresh ON fresh.q = fresh_lines.q AND fresh.t >= fresh_lines.t
    WHERE fresh_lines.type = 'selection' AND fresh_lines.parent IS NULL AND fresh_lines.q <> ''
        AND fresh.selection IS NULL AND fresh.query_id NOT IN (SELECT query_id FROM joined)
    QUALIFY row_number() OVER (PARTITION BY fresh.query_id ORDER BY fresh_lines.t DESC, fresh_lines.ordinal) = 1)
GROUP BY ordinal
"""

_ATTACH = """
UPDATE fresh SET selection = {
    t: line.t, a: line.a, score: line.score, why: line.why,
    q: CASE WHEN line.q IS DISTINCT FROM fresh.q THEN line.q END}
FROM joined JOIN fresh_lines AS line ON line.ordinal = joined.ordinal
WHERE fresh.query_id = joined.query_id
"""

_STEPS = (_KNOWN, _KNOWN_CHOICES, _FRESH_QUERIES, _FRESH_LINES, _UNDER_THE_TEXT, _BY_ID, _BY_TEXT, _ATTACH)

_COUNTS = """
SELECT (SELECT count(*) FROM fresh),
    (SELECT count(*) FROM fresh_lines WHERE type = 'selection'),
    (SELECT count(*) FROM fresh_lines WHERE type = 'call'),
    (SELECT count(*) FROM staged) - (SELECT count(*) FROM fresh) - (SELECT count(*) FROM fresh_lines)
"""


def settle(tables: Tables) -> tuple[int, int, int, int]:
    """Make `fresh`; returns how many queries, selections and calls in it are new, and how many lines were not."""
    for statement in _STEPS:
        tables.rows(statement)
    queries, selections, calls, duplicates = tables.rows(_COUNTS)[0]
    remaining = f"SELECT ordinal, {columns.NAMES}, query_id FROM fresh_lines"
    tables.rows(f"INSERT INTO fresh {remaining} WHERE ordinal NOT IN (SELECT ordinal FROM joined)")
    return queries, selections, calls, duplicates
