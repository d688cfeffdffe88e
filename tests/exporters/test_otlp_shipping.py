"""Shipping over OTLP: every span in the receiver once, whatever the receiver or a kill does."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from otlp_receivers import (
    TAKEN,
    RealReceiver,
    cut,
    hang,
    misbehaving,
    real_receiver,
    says,
    trickle,
)
from programs import needs
from store_rows import NOON, SERIAL, micros, query, random_rows, write

from instrument.errors import StoreError, UsageError
from instrument.exporters import delivery
from instrument.exporters.otlp import receiver as receivers
from instrument.exporters.otlp import shipping
from instrument.exporters.otlp.settings import target_of
from instrument.exporters.otlp.shipping import ship
from instrument.rows.stored import QueryRow, Row, StandaloneCallRow

QUICK = {"OTEL_EXPORTER_OTLP_TIMEOUT": "400"}
ALL = ("traces", "metrics", "logs")


@pytest.fixture
def store(tmp_path: Path) -> Path:
    directory = tmp_path / "monitoring"
    write(directory, random_rows(7, 400))
    return directory


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealReceiver]:
    with real_receiver(tmp_path_factory.mktemp("receiver")) as running:
        yield running


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)


def number_of_spans(rows: list[Row]) -> int:
    return sum(spans_of(row) for row in rows)


def spans_of(row: Row) -> int:
    if not isinstance(row, QueryRow):
        return int(isinstance(row, StandaloneCallRow))
    own = (row.input_tokens, row.output_tokens, row.cost_usd, row.model) != (None, None, None, None)
    has_models = any(call.kind == "model" for call in row.calls)
    return 1 + sum(call.duration is not None for call in row.calls) + int(own and not has_models)


EXPECTED = number_of_spans(random_rows(7, 400))


# -- the real receiver -----------------------------------------------------------------------------------------------


def test_a_real_receiver_has_every_span_once_and_a_second_run_sends_nothing(store: Path, real: RealReceiver) -> None:
    before = real.ids()
    assert ship(store, real.address).records > 0
    found = real.ids() - before
    assert (len(found), found.total()) == (EXPECTED, EXPECTED)
    assert ship(store, real.address).records == 0
    assert (real.ids() - before).total() == EXPECTED


def test_a_shipper_killed_at_any_step_and_run_again_leaves_no_span_out(store: Path, tmp_path: Path) -> None:
    chance = random.Random(5)
    with real_receiver(tmp_path) as real:
        for _ in range(6):
            running = subprocess.Popen(command(store, real.address), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            time.sleep(chance.uniform(0.2, 0.9))
            running.send_signal(signal.SIGKILL)
            running.communicate(timeout=10)
            write(store, [query(NOON + timedelta(hours=1), serial=SERIAL + 5000 + chance.randrange(10**6))])
        done = subprocess.run(command(store, real.address), capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stderr) == (0, "")
        assert len(real.ids()) == EXPECTED + 6


def command(store: Path, address: str, *more: str) -> list[str]:
    return [sys.executable, "-m", "instrument_cli", "ship", "--to", "otlp", address, "-d", str(store), *more]


def test_what_comes_while_it_follows_is_sent_and_it_ends_when_it_is_told_to(store: Path, tmp_path: Path) -> None:
    with real_receiver(tmp_path) as real:
        running = subprocess.Popen(
            command(store, real.address, "--follow"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        until(lambda: len(real.ids()) == EXPECTED)
        write(store, [query(NOON + timedelta(hours=2), serial=SERIAL + 9999)])
        until(lambda: len(real.ids()) == EXPECTED + 1)
        running.terminate()
        out, err = running.communicate(timeout=15)
        assert (running.returncode, err) == (0, "")
        assert out.startswith("Shipped ")


def until(happened: Any, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


# -- receivers that misbehave ----------------------------------------------------------------------------------------

PAGE = says(200, b"<!doctype html><title>Sign in</title>", "text/html")
PASSING = {
    "500": says(500),
    "502": says(502, b"<html>", "text/html"),
    "429": says(429, Retry_After="0"),
    "503": says(503, Retry_After="Wed, 21 Oct 2015 07:28:00 GMT"),
    "a page": PAGE,
    "cut": cut,
    "hang": hang,
    "trickle": trickle,
}


@pytest.mark.parametrize("fault", PASSING)
def test_a_fault_that_passes_loses_nothing(store: Path, fault: str) -> None:
    lines: list[str] = []
    endless = fault in ("hang", "trickle")
    with misbehaving(PASSING[fault], PASSING[fault]) as receiver:
        done = ship(store, receiver.address, environ=QUICK if endless else {}, say=lines.append)
        assert len(receiver.ids()) == EXPECTED
        # A busy machine may take longer than QUICK for an answer that is well.
        assert done.again >= 2 if endless else done.again == 2
    assert len(lines) == 1
    assert "trying again, nothing is lost" in lines[0]


def test_a_receiver_that_hangs_on_an_open_connection_is_asked_again_after_one_wait(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shipping, "BATCH", 200)
    lines: list[str] = []
    with misbehaving(TAKEN, hang) as receiver:
        done = ship(store, receiver.address, environ={"OTEL_EXPORTER_OTLP_TIMEOUT": "2000"}, say=lines.append)
        assert len(receiver.headers) == done.requests + done.again
        assert receiver.ids().total() == EXPECTED
    assert done.again == 1
    assert "it took too long" in lines[0]


@pytest.mark.parametrize("fault", ["500", "cut", "a page"])
def test_a_fault_that_stays_is_one_line_and_the_next_run_sends_everything(store: Path, fault: str) -> None:
    with misbehaving(*[PASSING[fault]] * delivery.TRIES) as receiver:
        with pytest.raises(StoreError, match=r"http://127\.0\.0\.1") as raised:
            ship(store, receiver.address, environ=QUICK)
        assert "\n" not in str(raised.value)
        assert not receiver.spans()
        ship(store, receiver.address)
        assert len(receiver.ids()) == EXPECTED


@pytest.mark.parametrize(
    ("status", "word"),
    [(400, "malformed"), (401, "OTEL_EXPORTER_OTLP_HEADERS"), (403, "HEADERS"), (404, "path"), (415, "protobuf")],
)
def test_a_refusal_for_good_is_said_at_once_and_the_place_is_kept(store: Path, status: int, word: str) -> None:
    with misbehaving(says(status, b"no such thing")) as receiver:
        with pytest.raises(StoreError, match=word):
            ship(store, receiver.address, follow=True)
        assert len(receiver.headers) == 1
        ship(store, receiver.address)
        assert len(receiver.ids()) == EXPECTED


def test_a_receiver_that_sends_us_elsewhere_is_named(store: Path) -> None:
    with (
        misbehaving(says(302, Location="https://elsewhere/")) as receiver,
        pytest.raises(StoreError, match="elsewhere"),
    ):
        ship(store, receiver.address)


def test_nobody_there_is_one_line(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with misbehaving() as receiver:
        address = receiver.address
    with pytest.raises(StoreError, match="no answer"):
        ship(store, address)


def test_a_receiver_that_was_away_is_caught_up_with(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "LONGEST_PAUSE", 0.05)
    stop, lines = threading.Event(), []
    with misbehaving(*[says(503)] * 20) as receiver:
        running = threading.Thread(
            target=ship, args=(store, receiver.address), kwargs={"follow": True, "stop": stop, "say": lines.append}
        )
        try:
            running.start()
            write(store, [query(NOON + timedelta(hours=3), serial=SERIAL + 8888)])
            until(lambda: len(receiver.ids()) == EXPECTED + 1)
        finally:
            stop.set()
            running.join(20)
        assert not running.is_alive()
    assert len(lines) == 1


def test_the_time_that_a_receiver_asks_for_is_waited(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []

    class Stop(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            waited.append(timeout or 0)
            return False

    with misbehaving(says(429, Retry_After="7"), says(503)) as receiver:
        ship(store, receiver.address, stop=Stop())
    assert waited[0] == 7
    assert 0 < waited[1] < 1


def test_a_time_to_wait_may_be_a_number_or_a_date() -> None:
    assert receivers._retry_after("2.5") == 2.5
    assert receivers._retry_after("Wed, 21 Oct 2015 07:28:00 GMT") == 0
    assert receivers._retry_after("soon") == 0
    assert receivers._retry_after(None) == 0


def test_what_a_receiver_did_not_take_of_a_batch_is_said_and_not_sent_again(store: Path) -> None:
    partial = b"\x0a\x0c\x08\x03\x12\x08too long"
    lines: list[str] = []
    with misbehaving(says(200, partial, "application/x-protobuf")) as receiver:
        ship(store, receiver.address, say=lines.append)
        assert len(receiver.headers) == -(-len(random_rows(7, 400)) // shipping.BATCH)
    assert lines == [f"{receiver.address}/v1/traces: it did not take 3 of them: too long"]


def test_a_batch_that_is_too_large_goes_in_halves(store: Path) -> None:
    with misbehaving() as receiver:
        receiver.limit = 20_000
        ship(store, receiver.address)
        assert len(receiver.ids()) == EXPECTED
        assert receiver.ids().total() == EXPECTED


def test_a_connection_that_was_closed_while_idle_is_opened_again(store: Path) -> None:
    def close(request: Any) -> None:
        says(200)(request)
        request.close_connection = True

    with misbehaving(*[close] * 2) as receiver:
        done = ship(store, receiver.address)
    assert done.again == 0


# -- settings --------------------------------------------------------------------------------------------------------


def test_the_standard_variables_say_where_how_and_with_which_headers() -> None:
    environ = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://one:4318/base/",
        "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "http://two/logs",
        "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20x, tenant=a",
        "OTEL_EXPORTER_OTLP_LOGS_HEADERS": "only=logs",
        "OTEL_EXPORTER_OTLP_TIMEOUT": "2500",
        "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION": "none",
    }
    traces, logs = (target_of(each, "", environ) for each in ("traces", "logs"))
    assert (traces.address, logs.address) == ("http://one:4318/base/v1/traces", "http://two/logs")
    assert (traces.headers, logs.headers) == ({"authorization": "Bearer x", "tenant": "a"}, {"only": "logs"})
    assert (traces.timeout, traces.gzip, logs.gzip) == (2.5, False, True)
    assert target_of("logs", "http://three/v1/traces", environ).address == "http://three/v1/logs"


@pytest.mark.parametrize(
    ("address", "variables", "word"),
    [
        ("", {}, "where to"),
        ("ftp://x", {}, "no address"),
        ("localhost:4318", {}, "no address"),
        ("http://x:99999", {}, "no address"),
        ("http://x", {"PROTOCOL": "grpc"}, "http/protobuf"),
        ("http://x", {"COMPRESSION": "zip"}, "gzip or none"),
        ("http://x", {"TIMEOUT": "soon"}, "milliseconds"),
        ("http://x", {"HEADERS": "nothing"}, "name=value"),
        ("http://x", {"HEADERS": "a=b%0d%0ac"}, "name=value"),
        ("https://x", {"CERTIFICATE": "/nowhere.pem"}, "CERTIFICATE"),
    ],
)
def test_what_cannot_be_used_is_named_before_anything_is_sent(
    address: str, variables: dict[str, str], word: str
) -> None:
    environ = {f"OTEL_EXPORTER_OTLP_{name}": value for name, value in variables.items()}
    with pytest.raises(UsageError, match=word):
        target_of("traces", address, environ)


def test_headers_and_compression_reach_the_receiver(store: Path) -> None:
    environ = {"OTEL_EXPORTER_OTLP_HEADERS": "x-mlflow-experiment-id=7"}
    with misbehaving() as receiver:
        ship(store, receiver.address, environ=environ)
    assert receiver.headers[0]["x-mlflow-experiment-id"] == "7"
    assert receiver.headers[0]["Content-Encoding"] == "gzip"
    assert receiver.headers[0]["Content-Type"] == "application/x-protobuf"


def test_only_records_from_a_time_on_are_sent_when_that_is_asked_for(tmp_path: Path) -> None:
    write(tmp_path / "m", [query(NOON), query(NOON + timedelta(hours=1), serial=SERIAL + 1)])
    with misbehaving() as receiver:
        ship(tmp_path / "m", receiver.address, since=micros(NOON) + 1)
        assert len(receiver.spans()) == 1


def test_each_receiver_and_choice_of_signals_has_a_place_of_its_own(store: Path) -> None:
    with misbehaving() as one, misbehaving() as two:
        ship(store, one.address)
        ship(store, two.address)
        ship(store, one.address, signals=("logs",))
        assert one.ids() == two.ids()
        assert one.accepted["logs"]
        assert set(one.paths) == {"/v1/traces", "/v1/logs"}


def test_two_shippers_to_one_receiver_keep_out_of_each_others_way(store: Path) -> None:
    with misbehaving(hang) as receiver:
        stop = threading.Event()
        first = threading.Thread(target=ship, args=(store, receiver.address), kwargs={"stop": stop, "environ": QUICK})
        first.start()
        until(lambda: receiver.headers)
        with pytest.raises(StoreError, match="already"):
            ship(store, receiver.address)
        first.join(20)
        assert len(receiver.ids()) == EXPECTED


def test_an_unknown_signal_is_wrong_usage(store: Path) -> None:
    with pytest.raises(UsageError, match="choose of traces, metrics, logs"):
        ship(store, "http://127.0.0.1:1", signals=("spans",))


def test_https_goes_to_a_receiver_that_is_trusted_and_to_no_other(store: Path, tmp_path: Path) -> None:
    [openssl] = needs("openssl")
    key, certificate = str(tmp_path / "key.pem"), str(tmp_path / "certificate.pem")
    made = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1"]
    about = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([openssl, *made, "-keyout", key, "-out", certificate, *about], check=True, capture_output=True)
    with misbehaving(tls=(certificate, key)) as receiver:
        with pytest.raises(StoreError, match="no answer"):
            ship(store, receiver.address)
        ship(store, receiver.address, environ={"OTEL_EXPORTER_OTLP_CERTIFICATE": certificate})
        assert len(receiver.ids()) == EXPECTED
