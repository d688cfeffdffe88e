"""The job of `metrics serve` that evaluates the alerts."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from instrument.alerting.evaluator import evaluate_forever

if TYPE_CHECKING:
    from instrument_cli.web.site import Site


def run(site: Site, stop: threading.Event) -> None:
    """Evaluate the alerts of the settings in force here every 15 s until the server stops."""
    evaluate_forever(site.directory, site.config, stop, opened=site.live.opened)
