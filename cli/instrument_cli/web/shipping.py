"""The job of `metrics serve` that ships records to the targets of the setting `ship_to`, a thread each."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from instrument.exporters.delivery import Delivery
from instrument.exporters.shipping import Order, ship

if TYPE_CHECKING:
    from instrument_cli.web.site import Site

_PATIENCE = 4.0


def run(site: Site, stop: threading.Event) -> None:
    """Ship to every target until the server stops; whatever happens to one, the others go on."""
    threads = [
        threading.Thread(target=_ship, args=(entry, site, stop), name=f"metrics serve: ship to {entry}", daemon=True)
        for entry in site.config.ship_to
    ]
    for thread in threads:
        thread.start()
    if threads:
        stop.wait()
    for thread in threads:
        thread.join(_PATIENCE)


def _ship(entry: str, site: Site, stop: threading.Event) -> None:
    """Ship to one target; whatever stands in the way is said once, and tried again: the store keeps what waits.

    It is no fault of the server, so the health check says nothing of it; `metrics doctor` says how far it is behind.
    """
    target, *rest = entry.split()
    address = next((part for part in rest if "://" in part), "")
    options = dict(part.split("=", 1) for part in rest if "=" in part and "://" not in part)
    options = {name: value.replace("+", ",") for name, value in options.items()}
    delivery = Delivery(stop, lambda line: site.say(f"ship to {target}: {line}"), follow=True)
    order = Order(site.directory, address, True, stop, delivery.say, options)
    with delivery.until_stopped():
        delivery.tried(lambda: ship(target, order), whatever_fails=True)
