"""The same work done by another agent or model that costs less: kinds 5, 6 and 12.

Queries are compared within tenths of their complexity, or of their input's length. Over all queries together, a costly
agent that gets the harder ones looks worse than it is: by 28–42 % in a simulation, within tenths by 0–4 %.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations
from typing import TYPE_CHECKING, NamedTuple

from instrument.analysis.advice.evidence import LEAST_QUERIES, Draft, Saving, Unit, draft, of_agent, of_days, of_gains
from instrument.analysis.advice.failing import DEVIATIONS
from instrument.analysis.advice.records import Records
from instrument.analysis.filters import Filter
from instrument.analysis.standing_out import lower_bound
from instrument.analysis.wording import count, dollars, duration, percent

if TYPE_CHECKING:
    from instrument.analysis.advice.records import Floats, Truths, Whole

TENTHS = 10
LEAST_CONTROLS = 20
"""Records of the cheaper side in a tenth, below which nothing is compared there."""

LEAST_OVERLAP = 0.8
"""The share of the costly side's records that must lie in tenths with enough of the cheaper."""

LEAST_EFFECT, PLAIN_EFFECT = 1.2, 2.0
"""How many times as much the costly side takes, at least, and from when on no trial is suggested."""

SEPARATED = 0.9
"""The share of choices that one threshold explains, for it to be the selector's."""

STEPS = (0.025, 0.05, 0.075, 0.1)
"""By how much a threshold is raised: further up there are no queries of the other agent to judge by."""

_KNOWN, _CAP = 0.9, 0.95


class _Sides(NamedTuple):
    """Records of two sides: where each stands (`x`), what it takes (`y`), its query, and which side it is on."""

    x: Floats
    y: Floats
    query: Whole
    costly: Truths
    cheap: Truths
    failed: Truths


class _Match(NamedTuple):
    saving: Saving
    queries: Whole
    effect: float
    overlap: float
    controls: int


def simple_queries(records: Records) -> Iterator[Draft]:
    """Kind 5: simple queries that a costly agent answers, and a cheaper one answers as well."""
    import numpy as np

    of = records.queries
    scored = np.isfinite(of.score) & of.outermost
    agents = np.unique(of.agent[scored].astype(str))
    simple = scored & (of.score <= np.median(of.score[scored])) if scored.any() else scored
    places, failed = np.arange(len(of.score)), ~of.success & ~of.cancelled
    for costly, cheap in permutations(agents, 2):
        for unit, y in _units(records, (of.agent == costly) | (of.agent == cheap)):
            sides = _Sides(of.score, y, places, simple & (of.agent == costly), simple & (of.agent == cheap), failed)
            match = _matched(records, sides, unit)
            if match is None:
                continue
            trial = "" if match.effect >= PLAIN_EFFECT else " Try it on some of them first: the difference is small."
            evidence = (
                f"{costly} answers {count(len(match.queries))} queries of the simpler half at a {_what(unit)} above "
                f"the mean of {cheap}; at equal complexity its mean is {match.effect:.1f} times that of "
                f"{count(match.controls)} queries of {cheap}.{trial}"
            )
            limit = float(np.median(of.score[scored]))
            where = (of_agent(costly), f"complexity<={limit:.3g}")
            title = f"Give simple queries to {cheap} instead of {costly}"
            yield draft(records, "simple_queries", title, (match.saving, match.queries), evidence, where, unit)


def _units(records: Records, mine: Truths) -> Iterator[tuple[Unit, Floats]]:
    """What queries take: time, and money where nearly all costs are known."""
    import numpy as np

    of = records.queries
    yield "seconds", of.duration
    if mine.any() and np.isfinite(of.cost[mine]).mean() >= _KNOWN and np.nansum(of.cost[mine]) > 0:
        yield "usd", np.nan_to_num(of.cost)


def _what(unit: Unit) -> str:
    return "time" if unit == "seconds" else "cost"


def _matched(records: Records, sides: _Sides, unit: Unit) -> _Match | None:
    """What the costly side would save at the cheap one's mean in the same tenth; None without the evidence."""
    import numpy as np

    both = sides.costly | sides.cheap
    if min(sides.costly.sum(), sides.cheap.sum()) < LEAST_QUERIES:
        return None
    # A few that hang would decide a mean, and chance where they are.
    sides = sides._replace(y=np.minimum(sides.y, np.quantile(sides.y[both], _CAP)))
    edges = np.unique(np.quantile(sides.x[both], np.linspace(0, 1, TENTHS + 1)[1:-1]))
    tenth = np.searchsorted(edges, sides.x, side="left")
    controls = np.bincount(tenth[sides.cheap], minlength=TENTHS)
    enough = controls >= LEAST_CONTROLS
    costly, cheap = sides.costly & enough[tenth], sides.cheap & enough[tenth]
    overlap = costly.sum() / sides.costly.sum()
    if overlap < LEAST_OVERLAP or _fails_more(sides.failed[cheap], sides.failed[costly]):
        return None
    mean = np.bincount(tenth[cheap], weights=sides.y[cheap], minlength=TENTHS) / np.maximum(controls, 1)
    expected = mean[tenth]
    effect = float(sides.y[costly].sum()) / max(float(expected[costly].sum()), 1e-12)
    if effect < LEAST_EFFECT:
        return None
    gain = np.where(costly, sides.y - expected, 0.0)
    concerned = np.unique(sides.query[costly & (gain > 0)])
    by_day = _by_day(records, sides, tenth, costly, cheap)
    saving = of_days(records, by_day, _at_the_other_s_mean, concerned, unit)
    if saving is None:
        return None
    order = np.argsort(-np.bincount(sides.query, weights=gain, minlength=len(records.queries.ids))[concerned])
    return _Match(saving, concerned[order], effect, float(overlap), int(cheap.sum()))


def _by_day(records: Records, sides: _Sides, tenth: Whole, costly: Truths, cheap: Truths) -> Floats:
    """For each day and tenth: how many there are of the costly side, what they take, and the same of the cheap one."""
    import numpy as np

    day, weight = records.day[sides.query], records.queries.weight[sides.query]
    place, size = day * TENTHS + tenth, records.days * TENTHS
    columns = [
        np.bincount(place[side], weights=(values * weight)[side], minlength=size).reshape(records.days, TENTHS)
        for side in (costly, cheap)
        for values in (np.ones(len(sides.y)), sides.y)
    ]
    return np.concatenate(columns, axis=1)


def _at_the_other_s_mean(sums: Floats) -> Floats:
    import numpy as np

    number, taken, controls, controls_taken = np.split(sums, 4, axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.where(controls > 0, controls_taken / controls, 0.0)
    found: Floats = np.where(controls > 0, taken - number * mean, 0.0).sum(axis=1)
    return found


def _fails_more(cheap: Truths, costly: Truths) -> bool:
    """Whether the cheap side surely fails more often than the costly one."""
    if not len(cheap) or not len(costly):
        return True
    upper = 1 - lower_bound(float((~costly).sum()), len(costly), DEVIATIONS)
    return lower_bound(float(cheap.sum()), len(cheap), DEVIATIONS) > upper


def threshold(records: Records) -> Iterator[Draft]:
    """Kind 6: a selector that sends queries to a costly agent from a complexity on; what a higher one would save.

    How the other agent would do beyond the threshold is a straight line through its own queries. Step and line come
    from the odd days where the even ones are judged, and the other way round.
    """
    import numpy as np

    of = records.queries
    scored = np.isfinite(of.score) & of.outermost & of.selected
    for costly, cheap in permutations(np.unique(of.agent[scored].astype(str)), 2):
        hard, easy = scored & (of.agent == costly), scored & (of.agent == cheap)
        if min(hard.sum(), easy.sum()) < LEAST_QUERIES:
            continue
        limit = _split(of.score, hard, easy)
        if limit is None:
            continue
        gains, queries = [], []
        step = STEPS[0]
        for fold in (0, 1):
            known, judged = records.day % 2 != fold, records.day % 2 == fold
            line = (
                np.polyfit(of.score[easy & known], of.duration[easy & known], 1) if (easy & known).sum() > 1 else None
            )
            if line is None:
                break
            gain = of.duration - np.maximum(np.polyval(line, of.score), 0.0)
            moved = {step: hard & (of.score > limit) & (of.score <= limit + step) for step in STEPS}
            step = max(STEPS, key=lambda one: float(gain[moved[one] & known].sum()))
            queries.append(np.flatnonzero(moved[step] & judged))
            gains.append(gain[queries[-1]])
        if len(gains) < 2:
            continue
        places, gained = np.concatenate(queries), np.concatenate(gains)
        found = of_gains(records, places, gained)
        taken = float(of.duration[places].sum())
        if found is None or taken < LEAST_EFFECT * (taken - float(gained.sum())):
            continue
        evidence = (
            f"The selector sends queries above {limit:.2f} to {costly}. {count(len(places))} of them lie at most "
            f"{step:.3g} above it; {cheap}, continued in a straight line, would take "
            f"{duration(1e3 * (taken - float(gained.sum())) / len(places))} where {costly} takes "
            f"{duration(1e3 * taken / len(places))}."
        )
        title = f"Raise the selector's threshold from {limit:.2f} to {limit + step:.3g}"
        where = (of_agent(costly), f"complexity<={limit + step:.3g}")
        yield draft(records, "threshold", title, found, evidence, where)


def _split(score: Floats, hard: Truths, easy: Truths) -> float | None:
    """The complexity that parts two agents' queries best; None where none parts nearly all."""
    import numpy as np

    both = np.flatnonzero(hard | easy)
    order = both[np.argsort(score[both], kind="stable")]
    right = np.cumsum(easy[order]) + (hard[order].sum() - np.cumsum(hard[order]))
    best = int(np.argmax(right))
    return float(score[order[best]]) if right[best] >= SEPARATED * len(both) else None


def cheaper_model(records: Records) -> Iterator[Draft]:
    """Kind 12: calls to a model for which the same agent also uses a cheaper one, at the same length of input."""
    import numpy as np

    of, is_model = records.calls, records.is_kind("model")
    if not is_model.any():
        return
    agent = records.queries.agent.astype(str)[of.query]
    usable = is_model & np.isfinite(of.cost) & np.isfinite(of.tokens)
    for one in np.unique(agent[usable]):
        mine = usable & (agent == one)
        for costly, cheap in permutations(np.unique(of.name[mine]), 2):
            sides = _Sides(
                of.tokens, np.nan_to_num(of.cost), of.query, mine & (of.name == costly), mine & (of.name == cheap),
                of.failed,
            )  # fmt: skip
            match = _matched(records, sides, "usd")
            if match is None:
                continue
            dear, fair = (records.names[place][1] for place in (costly, cheap))
            calls = int(sides.costly.sum())
            evidence = (
                f"{one} makes {count(calls)} calls to {dear}, {dollars(float(sides.y[sides.costly].sum()) / calls)} "
                f"each: {match.effect:.1f} times what {count(match.controls)} calls to {fair} cost at the same length "
                f"of input; {percent(match.overlap)} of them can be compared. The two fail about equally often."
            )
            where = (of_agent(one), str(Filter("model", "=", dear)))
            title = f"Try {fair} instead of {dear} for {one}"
            yield draft(records, "cheaper_model", title, (match.saving, match.queries), evidence, where, "usd")
