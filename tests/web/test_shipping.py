"""`metrics serve` ships what the setting `ship_to` says."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from otlp_receivers import hang, misbehaving, says
from store_rows import random_rows, write


def test_serve_ships_to_every_target_and_goes_on_when_one_refuses(serve: Callable[..., Any], tmp_path: Path) -> None:
    write(tmp_path / "monitoring", random_rows(7, 50))
    with misbehaving() as good, misbehaving(*[says(401)] * 1000) as bad:
        targets = f"otlp {bad.address}, otlp {good.address} signals=traces+logs"
        server = serve(tmp_path / "monitoring", INSTRUMENT_SHIP_TO=targets)
        deadline = time.monotonic() + 30
        while not (good.accepted["logs"] and good.spans() and bad.headers) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert good.accepted["logs"]
        assert good.spans()
        assert server.get("/healthz")
        assert server.stop() == 0
        assert server.process.stderr is not None
        assert "OTEL_EXPORTER_OTLP_HEADERS" in server.process.stderr.read()


def test_a_receiver_that_hangs_does_not_keep_the_server_from_stopping(
    serve: Callable[..., Any], tmp_path: Path
) -> None:
    write(tmp_path / "monitoring", random_rows(7, 50))
    with misbehaving(hang) as receiver:
        server = serve(tmp_path / "monitoring", INSTRUMENT_SHIP_TO=f"otlp {receiver.address}")
        deadline = time.monotonic() + 30
        while not receiver.headers and time.monotonic() < deadline:
            time.sleep(0.1)
        assert receiver.headers
        assert server.stop() == 0
