"""The job of `metrics serve` that evaluates the alerts."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

from instrument.alerting.evaluator import evaluate_forever
from instrument.alerting.rules import read_rules
from instrument_cli.commands.alerts import ALERTS_NEED_A_DIRECTORY

if TYPE_CHECKING:
    from instrument_cli.web.site import Site


def run(site: Site, stop: threading.Event) -> None:
    """Evaluate the alerts of the settings in force here every 15 s until the server stops."""
    if "://" in str(site.source):
        if read_rules(Path.cwd()).rules:
            site.say(f"no alert is evaluated: {str(site.source).partition('://')[0]}://… {ALERTS_NEED_A_DIRECTORY}")
        return
    evaluate_forever(site.directory, site.config, stop, opened=site.live.opened)
