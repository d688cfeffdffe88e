"""Say what is predicted of a query, from how many like it, and how good predictions were."""

from __future__ import annotations

from instrument.analysis.learning import Evaluation
from instrument.analysis.wording import dollars, duration, percent, several, short
from instrument.prediction import LEAST_SIMILAR, Prediction


def told_learned(queries: int) -> str:
    """From how many queries was learned."""
    return f"Learned from {several(queries, 'query', 'queries')} of the last four weeks."


def told_prediction(said: Prediction) -> list[str]:
    """A prediction in sentences, or why there is none."""
    if said.p50_ms is None or said.p90_ms is None:
        known = f"there are {said.similar}" if said.similar else "there are fewer"
        return [f"Too few similar queries to predict from: {LEAST_SIMILAR} are needed, {known}."]
    lines = [f"Half of such queries take less than {duration(said.p50_ms)}, 9 of 10 less than {duration(said.p90_ms)}."]
    if said.failure is not None:
        lines.append(f"Of late {percent(said.failure)} of such queries fail.")
    spent = [f"{short(round(said.tokens))} tokens"] if said.tokens is not None else []
    spent += [dollars(said.cost_usd)] if said.cost_usd is not None else []
    if spent:
        lines.append(f"Half of them use less than {' and '.join(spent)}.")
    return [*lines, f"From {several(said.similar, 'similar query', 'similar queries')}."]


def told_evaluation(found: Evaluation) -> list[str]:
    """How good predictions were, in sentences."""
    lines = [
        f"Over {several(found.queries, 'query', 'queries')}, each predicted from those that had ended before it:",
        f"{percent(found.covered)} took less than their p90, which should be 90 %.",
    ]
    for name, own, plain in (("p50", found.p50, found.plain_p50), ("p90", found.p90, found.plain_p90)):
        better = percent(abs(1 - own / plain)) if plain else "–"
        verdict = "better" if own <= plain else "worse"
        lines.append(
            f"The {name} missed by {duration(own * 1000)} (pinball loss), {better} {verdict} than each agent's and "
            f"model's own quantile ({duration(plain * 1000)})."
        )
    if found.failures_auc is not None:
        lines.append(f"Failures were told apart with an AUC of {found.failures_auc:.2f}; 0.5 is chance.")
    return lines
