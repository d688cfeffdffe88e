from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any


def _refused(*options: str) -> tuple[int, str]:
    answer = subprocess.run(
        [sys.executable, "-m", "instrument_cli", "serve", *options], capture_output=True, text=True, timeout=30
    )
    return answer.returncode, answer.stderr


def test_serve_answers_and_stops_cleanly_on_sigterm(serve: Callable[..., Any], tmp_path: Path) -> None:
    server = serve(tmp_path / "monitoring")
    assert json.loads(server.get("/healthz"))["status"] == "ok"
    assert server.stop() == 0


def test_a_port_that_is_taken_is_one_line_and_exit_code_2() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        code, said = _refused("--port", str(other.getsockname()[1]))
    assert code == 2
    assert said.count("\n") == 1
    assert "pass another --port" in said


def test_an_address_beyond_loopback_needs_a_token() -> None:
    code, said = _refused("--host", "0.0.0.0")
    assert code == 2
    assert "--token" in said
