"""`metrics serve` evaluates the alerts: a webhook hears of a failure once, also after a kill."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / folder) for folder in ("alerting", "store")]
from receivers import hook  # noqa: E402
from store_rows import query, write  # noqa: E402


def test_serve_tells_a_webhook_once_and_not_again_after_a_kill(serve: Callable[..., Any], tmp_path: Path) -> None:
    now = datetime.now(UTC)
    write(tmp_path / "monitoring", [query(now - timedelta(seconds=n), serial=n, status="error") for n in range(1, 21)])
    with hook() as web:
        (tmp_path / "instrument.toml").write_text(
            f'[alert_targets]\nx = "json://127.0.0.1:{web.port}"\n'
            '[[alerts]]\nname = "failures"\nfigure = "failure_rate"\nabove = 0.1\n'
        )
        server = serve(tmp_path / "monitoring")
        end = time.monotonic() + 30
        while not web.messages and time.monotonic() < end:
            time.sleep(0.05)
        time.sleep(0.5)  # until what was sent is written down
        server.stop(signal.SIGKILL)
        again = serve(tmp_path / "monitoring")
        time.sleep(2)
        assert again.stop() == 0
    assert web.titles == ["FIRING: failures (warning)"]


def test_serve_of_a_database_says_that_it_evaluates_no_alert(serve: Callable[..., Any], tmp_path: Path) -> None:
    write(tmp_path / "monitoring", [query(datetime.now(UTC), serial=1, status="error")])
    with hook() as web:
        (tmp_path / "instrument.toml").write_text(
            f'[alert_targets]\nx = "json://127.0.0.1:{web.port}"\n'
            '[[alerts]]\nname = "failures"\nfigure = "failure_rate"\nabove = 0.1\nleast_queries = 1\n'
        )
        server = serve("clickhouse://127.0.0.1:9/agents")
        assert "no alert is evaluated: clickhouse://… is no directory" in server.process.stderr.readline()
        time.sleep(1)
        server.stop()
    assert web.titles == []
