"""`metrics predict`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from instrument.errors import NotEnoughDataError, UsageError
from instrument_cli.commands import options
from instrument_cli.commands.arguments import checked_format, settings
from instrument_cli.commands.compact import LEARNED_HOURS
from instrument_cli.commands.reading import Span, asked_period, opened

if TYPE_CHECKING:
    from instrument.analysis.learning import Evaluation
    from instrument.config import Config

_NO_MODEL = "nothing was learned from this store yet; let it be: metrics predict --renew"


def predict(
    text: Annotated[str | None, typer.Argument(metavar="TEXT", help="The query that may be asked.")] = None,
    agent: options.Agent = None,
    model: Annotated[str | None, typer.Option(metavar="NAME", help="The model that would answer.")] = None,
    attribute: Annotated[
        list[str] | None, typer.Option("--attribute", metavar="NAME=VALUE", help="An attribute of it. Repeatable.")
    ] = None,
    renew: Annotated[bool, typer.Option("--renew", help="Learn from the last four weeks first.")] = False,
    evaluate: Annotated[bool, typer.Option("--evaluate", help="Say how good predictions were on your store.")] = False,
    format: options.ShownFormat = "text",
    source: options.Source = None,
) -> None:
    """Predict what a query will take before it runs. Duration, failure, tokens and cost, from similar queries.

    \b
    Example: metrics predict --renew "compare all unpaid bills" --agent crewai
             metrics predict --evaluate
    """
    config, chosen = settings(source), checked_format(format, options.SHOWN_FORMATS)
    attributes = dict(_pair(each) for each in attribute or ())
    if text is None and not (renew or evaluate):
        raise UsageError('nothing to predict; write a query, such as metrics predict "unpaid bills in India"')
    from instrument_cli.rendering import prediction as rendering

    found: object = None
    lines: list[str] = []
    if renew:
        learned = _renewed(config, source)
        lines.append(rendering.told_learned(learned))
        found = {"learned": learned}
    if text is not None:
        from instrument.prediction import FILE, predict

        if not Path(config.directory, FILE).is_file():
            raise NotEnoughDataError(_NO_MODEL)
        found = said = predict(text, agent=agent, model=model, attributes=attributes, directory=config.directory)
        lines += rendering.told_prediction(said)
    if evaluate:
        found = judged = _evaluated(config, source)
        lines += rendering.told_evaluation(judged)
    if chosen == "json":
        from instrument_cli.rendering.json_output import show_json

        return show_json(found)
    from instrument_cli.rendering.page import current_page, show
    from instrument_cli.rendering.table import paragraph

    page = current_page()
    return show([part for each in lines for part in paragraph(each, page)], page)


def _pair(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not (name and separator):
        raise UsageError(f"--attribute {text!r} is none; write NAME=VALUE, such as tenant=north")
    return name, value


def _renewed(config: Config, source: str | None) -> int:
    """Learn anew; returns from how many queries."""
    from instrument.analysis.learning import known_queries, renew

    with opened(config, source, asked_period(config, Span(hours=LEARNED_HOURS))) as store:
        renew(store.directory, store.tables, time.time_ns() // 1000)
        return len(known_queries(store.tables))


def _evaluated(config: Config, source: str | None) -> Evaluation:
    from instrument.analysis.learning import evaluate, known_queries, telling_attribute

    with opened(config, source, asked_period(config, Span())) as store:
        telling = telling_attribute(store.tables)
        found = evaluate(known_queries(store.tables, telling), attribute=telling)
    if found is None:
        raise NotEnoughDataError("predictions are judged on 100 completed queries and more; this store has fewer")
    return found
