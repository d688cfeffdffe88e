"""`metrics grafana`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from instrument.errors import UsageError
from instrument_cli.commands.arguments import settings

if TYPE_CHECKING:
    from instrument.config import Config
    from instrument.exporters.grafana.alerts import Alert


def grafana(
    directory: Annotated[str, typer.Argument(metavar="DIRECTORY", help="The folder to write into; made if need be.")],
    prometheus: Annotated[
        str, typer.Option(metavar="URL", help="Where Grafana finds the Prometheus that scrapes `metrics serve`.")
    ] = "http://localhost:9090",
    mounted: Annotated[
        str, typer.Option(metavar="PATH", help="Where Grafana will find that folder.")
    ] = "/etc/grafana/provisioning",
) -> None:
    """Write dashboards and alerts for Grafana, with its data source, as a folder that is ready to mount.

    The alerts are the rules of the settings, [[alerts]], or the usual ones where there are none.

    \b
    Example: metrics grafana provisioning
             metrics grafana provisioning --prometheus http://prometheus:9090
    """
    if "://" not in prometheus:
        raise UsageError(f"--prometheus {prometheus} is no URL; write one such as http://localhost:9090")
    try:
        from instrument.exporters.grafana.files import files
    except ModuleNotFoundError as error:
        missing = str(error.name).partition(".")[0]
        raise UsageError(f"metrics grafana needs {missing}: pip install 'agent-instrument[grafana]'") from None
    folder = Path(directory)
    written = files(prometheus, _alerts(settings()), mounted)
    for path, text in written.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
        typer.echo(folder / path)


def _alerts(config: Config) -> tuple[Alert, ...]:
    """The rules of the settings, with a line on standard error for each that Grafana cannot have; else the usual."""
    from instrument.alerting import grafana_rules
    from instrument.alerting.rules import read_rules
    from instrument.exporters.grafana.alerts import no_server, usual
    from instrument_cli.rendering.notes import warn

    rules = read_rules(Path.cwd()).rules
    if not rules:
        return usual(config)
    alerts, left_out = grafana_rules.made(rules)
    for line in left_out:
        warn(line)
    return (*alerts, *([no_server()] if all(alert.name != no_server().name for alert in alerts) else []))
