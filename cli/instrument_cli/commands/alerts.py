"""`metrics alerts` and its commands: `check`, `test`, `silence`, `rules`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from instrument.errors import UsageError
from instrument_cli.commands import options
from instrument_cli.commands.arguments import checked_format, settings
from instrument_cli.commands.reading import Span, asked_period, shown_zone

if TYPE_CHECKING:
    from instrument.config import Config

ALERTS_NEED_A_DIRECTORY = (
    "is no directory, and alerts are evaluated over one alone; run them where records are written, "
    "or give Prometheus the rules that metrics alerts rules writes"
)

FIRES = 3
"""The exit code of `metrics alerts check` when an alert fires."""

_HELP = {"help_option_names": ["-h", "--help"]}

GROUP = typer.Typer(
    name="alerts", add_completion=False, rich_markup_mode=None, invoke_without_command=True, context_settings=_HELP
)

Directory = Annotated[
    str | None,
    typer.Option("--from", "--directory", "-d", metavar="DIR", help="The store, instead of the one in the settings."),
]
Name = Annotated[str, typer.Argument(metavar="NAME", help="The alert's name.")]


def _settings(source: str | None) -> Config:
    """The settings for a store in a directory. Raises UsageError for an address."""
    if source is not None and "://" in source:
        raise UsageError(f"--from {source.partition('://')[0]}://… {ALERTS_NEED_A_DIRECTORY}")
    return settings(source)


@GROUP.callback()
def alerts(
    context: typer.Context,
    format: options.ShownFormat = "text",
    tz: options.TimeZone = None,
    source: Directory = None,
) -> None:
    """List the alert rules with their state. Rules stand in instrument.toml as [[alerts]]; docs/alerts.md has examples.

    \b
    Example: metrics alerts
             metrics alerts check || echo "an alert fires"
             metrics alerts test failures --since -7d
             metrics alerts silence failures --for 2h
    """
    if context.invoked_subcommand is not None:
        return None
    from instrument.alerting import listing, state_file
    from instrument.alerting.rules import read_rules

    config, chosen = _settings(source), checked_format(format, options.SHOWN_FORMATS)
    rules = read_rules(Path.cwd())
    listed = listing.listed(rules, state_file.read(Path(config.directory)), datetime.now(UTC))
    _warn(listing.never_matching(Path(config.directory), config, rules))
    if chosen == "json":
        from instrument_cli.rendering.json_output import show_json

        return show_json(listed)
    from instrument_cli.rendering.alerts import draw_alerts
    from instrument_cli.rendering.page import current_page, show

    span = Span(time_zone=tz)
    page = current_page(shown_zone(config, span, asked_period(config, span)))
    return show(draw_alerts(listed, page), page)


@GROUP.command(context_settings=_HELP)
def check(format: options.ShownFormat = "text", source: Directory = None) -> None:
    """Evaluate every alert once, send what is due, and end with 3 when one fires.

    \b
    Example: metrics alerts check
             */5 * * * *  cd /srv/agents && metrics alerts check > /dev/null
    """
    from instrument.alerting import listing
    from instrument.alerting.evaluator import check_once
    from instrument.alerting.rules import read_rules

    config, chosen = _settings(source), checked_format(format, options.SHOWN_FORMATS)
    rules, directory = read_rules(Path.cwd()), Path(config.directory)
    _warn(listing.never_matching(directory, config, rules))
    state = check_once(directory, config, rules)
    listed = listing.listed(rules, state, datetime.now(UTC))
    if chosen == "json":
        from instrument_cli.rendering.json_output import show_json

        show_json(listed)
    else:
        from instrument_cli.rendering.alerts import draw_alerts
        from instrument_cli.rendering.page import current_page, show

        page = current_page()
        show(draw_alerts(listed, page), page)
    raise typer.Exit(FIRES if any(one.state == "firing" for one in listed.alerts) else 0)


@GROUP.command("test", context_settings=_HELP)
def show_past(
    name: Name,
    since: Annotated[str, typer.Option("--since", metavar="TIME", help="From this time on.")] = "-7d",
    until: options.Until = None,
    tz: options.TimeZone = None,
    format: options.ShownFormat = "text",
    source: Directory = None,
) -> None:
    """Show when an alert would have fired in the past. Nothing is sent, and no state changes.

    \b
    Example: metrics alerts test failures --since -7d
    """
    from instrument.alerting.past import past
    from instrument.alerting.rules import read_rules

    config, chosen = _settings(source), checked_format(format, options.SHOWN_FORMATS)
    rule = read_rules(Path.cwd()).named(name)
    span = Span(None, since, until, tz)
    period = asked_period(config, span)
    found = past(Path(config.directory), config, rule, period)
    if chosen == "json":
        from instrument_cli.rendering.json_output import show_json

        return show_json(found)
    from instrument_cli.rendering.alerts import draw_past
    from instrument_cli.rendering.page import current_page, show

    page = current_page(shown_zone(config, span, period))
    return show(draw_past(found, rule, page), page)


@GROUP.command(context_settings=_HELP)
def silence(
    name: Name,
    length: Annotated[str, typer.Option("--for", metavar="LENGTH", help="How long: 30m, 2h, 3d; 0 ends the silence.")],
    comment: Annotated[str, typer.Option(metavar="TEXT", help="Why, for whoever lists the alerts.")] = "",
    source: Directory = None,
) -> None:
    """Keep an alert's messages back for a while. It goes on being evaluated; whoever heard it fire hears it recover.

    \b
    Example: metrics alerts silence failures --for 2h --comment "the provider is down"
             metrics alerts silence failures --for 0
    """
    from instrument.alerting import state_file
    from instrument.alerting.rules import read_rules
    from instrument.analysis.series import every
    from instrument.store.layout import check_directory

    directory = Path(_settings(source).directory)
    rule = read_rules(Path.cwd()).named(name)
    try:
        seconds = 0.0 if length.strip() == "0" else every(length)
        until = datetime.now(UTC) + timedelta(seconds=seconds)
    except (UsageError, OverflowError):
        raise UsageError(f"--for {length!r} is no length of time; write one such as 30m, 2h or 3d") from None
    check_directory(directory)
    with state_file.changing(directory) as state:
        state.silences.pop(rule.name, None)
        if seconds:
            state.silences[rule.name] = state_file.Silence(until, comment)
    typer.echo(f"{rule.name} is silent until {until:%Y-%m-%d %H:%M} UTC" if seconds else f"{rule.name} is heard again")


@GROUP.command(context_settings=_HELP)
def rules(
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="DIR", help="Write rules.yml and its tests here, not to the screen."),
    ] = None,
) -> None:
    """Write the same alerts as rules for Prometheus, with unit tests for promtool.

    \b
    Example: metrics alerts rules
             metrics alerts rules --output prometheus && promtool test rules prometheus/*_test.yml
    """
    from instrument.alerting import prometheus_rules
    from instrument.alerting.rules import read_rules

    made = prometheus_rules.made(read_rules(Path.cwd()).rules)
    _warn(made.left_out)
    if output is None:
        return typer.echo(made.rules, nl=False)
    output.mkdir(parents=True, exist_ok=True)
    for name, text in ({prometheus_rules.RULES: made.rules} | made.tests).items():
        (output / name).write_text(text, "utf-8")
        typer.echo(output / name)
    return None


def _warn(texts: list[str]) -> None:
    from instrument_cli.rendering.notes import warn

    for text in texts:
        warn(text)
