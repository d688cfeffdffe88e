"""What a panel asks Prometheus for, over the table of names, so that no panel asks for a metric that there is not."""

from __future__ import annotations

from instrument.exporters.names import Metric

RATE = "$__rate_interval"
"""The window of a rate, which Grafana fits to the step and to the interval of scraping."""

RANGE = "$__range"
"""All of the time that a dashboard shows."""

VARIABLES = {
    "agent": "agent",
    "gen_ai_agent_name": "agent",
    "gen_ai_tool_name": "tool",
    "operation": "operation",
    "gen_ai_request_model": "model",
    "model": "model",
}
"""The variable of a dashboard that picks the values of a label."""


class Asking:
    """Builds expressions of one dashboard, whose variables pick the series; `one` of them has a single value."""

    def __init__(self, *variables: str, one: str = "") -> None:
        self.variables = variables
        self.one = one

    def series(self, metric: Metric, end: str = "", **fixed: str) -> str:
        """The series of a metric, picked by the variables and by fixed labels."""
        picked = ['instance=~"$instance"']
        for label in metric.labels:
            if label in fixed:
                picked.append(f'{label}="{fixed[label]}"')
            elif (variable := VARIABLES.get(label)) in self.variables:
                picked.append(f'{label}{"=" if variable == self.one else "=~"}"${variable}"')
        unknown = fixed.keys() - set(metric.labels)
        if unknown:
            raise ValueError(f"{metric.prometheus} has no label {', '.join(sorted(unknown))}")
        return f"{metric.prometheus}{end}{{{','.join(picked)}}}"

    def rate(self, metric: Metric, *by: str, end: str = "", **fixed: str) -> str:
        """What a counter grows by in a second."""
        return f"{_sum(by)}(rate({self.series(metric, end, **fixed)}[{RATE}]))"

    def growth(self, metric: Metric, *by: str, end: str = "", over: str = RANGE, **fixed: str) -> str:
        """What a counter grew by, over the whole time or another window."""
        return f"{_sum(by)}(increase({self.series(metric, end, **fixed)}[{over}]))"

    def quantile(self, share: float, metric: Metric, *by: str, over: str = RATE) -> str:
        """A percentile of a histogram."""
        return f"histogram_quantile({share:g}, {_sum(('le', *by))}(rate({self.series(metric, '_bucket')}[{over}])))"

    def mean(self, metric: Metric, *by: str, over: str = RATE) -> str:
        """The mean of a histogram."""
        total, number = (f"{_sum(by)}(rate({self.series(metric, end)}[{over}]))" for end in ("_sum", "_count"))
        return f"{total} / {number}"

    def buckets(self, metric: Metric) -> str:
        """How many observations came in each bucket, for a heat map."""
        return f"{_sum(('le',))}(increase({self.series(metric, '_bucket')}[{RATE}]))"

    def share(self, metric: Metric, part: str, *by: str, over: str = RATE, **fixed: str) -> str:
        """The share of one outcome among what succeeded and failed; 0 where nothing had that outcome."""
        grown = f"increase({self.series(metric, '', **fixed)}[{over}])"
        some = grown.replace("{", f'{{outcome="{part}",', 1)
        decided = grown.replace("{", '{outcome!="cancelled",', 1)
        whole = f"{_sum(by)}({decided})"
        return f"({_sum(by)}({some}) or {whole} * 0) / {whole}"


def _sum(by: tuple[str, ...]) -> str:
    return f"sum by ({', '.join(by)}) " if by else "sum"
