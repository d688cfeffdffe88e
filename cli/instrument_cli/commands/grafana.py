"""`metrics grafana`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from instrument.errors import UsageError
from instrument_cli.commands.arguments import settings


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

    \b
    Example: metrics grafana provisioning
             metrics grafana provisioning --prometheus http://prometheus:9090
    """
    if "://" not in prometheus:
        raise UsageError(f"--prometheus {prometheus} is no URL; write one such as http://localhost:9090")
    config = settings()
    try:
        from instrument.exporters.grafana.alerts import usual
        from instrument.exporters.grafana.files import files
    except ModuleNotFoundError as error:
        missing = str(error.name).partition(".")[0]
        raise UsageError(f"metrics grafana needs {missing}: pip install 'agent-instrument[grafana]'") from None
    folder = Path(directory)
    written = files(prometheus, usual(config), mounted)
    for path, text in written.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
        typer.echo(folder / path)
