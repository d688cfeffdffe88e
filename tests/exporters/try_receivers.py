"""Ship a store to Phoenix and MLflow, and check that everything stands where their users look for it.

    python tests/exporters/try_receivers.py [phoenix] [mlflow] [--pictures FOLDER]

Each is installed into an environment of its own below build/receivers/ (850 MB each, once), started on loopback, asked
through its own interface, and stopped. The script ends with 1 when something does not stand where it should. With
--pictures it also draws the list of traces and one trace as a browser shows them. docs/otlp.md has what was seen last.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from msgspec import Struct
from otlp_receivers import free_port
from receiver_trials import Seen, checks

ROOT = Path(__file__).parents[2]
ENVIRONMENTS = ROOT / "build" / "receivers"
_START_SECONDS = 240
_QUIET = {"PHOENIX_TELEMETRY_ENABLED": "false", "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "1"}


class Receiver(Struct, frozen=True):
    """A system to try: its package, its program's arguments, headers for OTLP, and what to look at in a browser."""

    name: str
    package: str
    program: str
    arguments: tuple[str, ...]
    environ: dict[str, str]
    pages: dict[str, str]

    @property
    def folder(self) -> Path:
        return ENVIRONMENTS / self.name

    def installed(self) -> Path:
        """The folder of its environment's programs, made where it is missing."""
        programs = self.folder / "bin"
        if not (programs / self.program).exists():
            print(f"installing {self.package} into {self.folder} …", flush=True)
            venv.create(self.folder, with_pip=True, clear=True)
            subprocess.run([programs / "pip", "install", "--quiet", self.package], check=True)
        return programs

    @property
    def version(self) -> str:
        code = f"from importlib.metadata import version; print(version({self.package!r}))"
        return subprocess.run(
            [self.folder / "bin" / "python", "-c", code], check=True, capture_output=True, text=True
        ).stdout.strip()


RECEIVERS = {
    "phoenix": Receiver(
        "phoenix",
        "arize-phoenix",
        "phoenix",
        ("serve",),
        {"PHOENIX_HOST": "127.0.0.1", "PHOENIX_PORT": "{port}", "PHOENIX_GRPC_PORT": "{other}"},
        {"traces": "/projects/{project}/traces", "trace": "/projects/{project}/traces/{trace}"},
    ),
    "mlflow": Receiver(
        "mlflow",
        "mlflow",
        "mlflow",
        (
            "server",
            "--host",
            "127.0.0.1",
            "--port",
            "{port}",
            "--workers",
            "1",
            "--backend-store-uri",
            "sqlite:///t.db",
        ),
        {},
        {
            "traces": "/#/experiments/0/traces",
            "trace": "/#/experiments/0/traces?selectedEvaluationId=tr-{trace}",
        },
    ),
}

MLFLOW_CODE = """
import json, sys
from mlflow import MlflowClient
traces = MlflowClient(sys.argv[1]).search_traces(locations=["0"], max_results=500)
print(json.dumps([{
    "tokens": trace.info.token_usage, "metadata": trace.info.trace_metadata, "state": str(trace.info.state.value),
    "spans": [{
        "id": span.span_id, "parent": span.parent_id, "name": span.name, "kind": span.span_type,
        "status": str(span.status.status_code.value), "message": span.status.description,
        "attributes": dict(span.attributes), "trace": trace.info.trace_id,
    } for span in trace.data.spans],
} for trace in traces], default=str))
"""

PHOENIX_QUERY = """{ projects(first: 1) { edges { node { id tokenCountTotal costSummary { total { cost } }
  sessions(first: 10) { edges { node { sessionId numTraces } } }
  spans(first: 1000) { edges { node { spanId parentId name spanKind statusCode statusMessage userId
    tokenCountPrompt tokenCountCompletion costSummary { total { cost } } input { value } output { value } attributes
    trace { traceId session { sessionId } } events { name message } } } } } } } }"""


@contextmanager
def running(receiver: Receiver, folder: Path) -> Iterator[str]:
    """Start the receiver; gives its address once it answers."""
    programs = receiver.installed()
    port, other = free_port(), free_port()
    filled = {"port": str(port), "other": str(other)}
    environ = os.environ | _QUIET | {name: value.format(**filled) for name, value in receiver.environ.items()}
    command = [str(programs / receiver.program), *(each.format(**filled) for each in receiver.arguments)]
    address, log = f"http://127.0.0.1:{port}", folder / "receiver.log"
    with open(log, "wb") as output:
        server = subprocess.Popen(
            command, cwd=folder, stdout=output, stderr=output, env=environ | {"PHOENIX_WORKING_DIR": str(folder)}
        )
    try:
        until = time.monotonic() + _START_SECONDS
        while not answers(address):
            if server.poll() is not None or time.monotonic() > until:
                raise SystemExit(f"{receiver.name} does not answer:\n{log.read_text()[-3000:]}")
            time.sleep(0.5)
        yield address
    finally:
        server.terminate()
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=5):
            return True
    except OSError:
        return False


def record(store: Path) -> None:
    """Fill a store: by the demo, and by an application of which every value is known."""
    subprocess.run(
        [sys.executable, "-m", "instrument_cli", "demo", "--questions", "30", "-d", store],
        check=True,
        capture_output=True,
    )
    subprocess.run([sys.executable, Path(__file__).with_name("receiver_trials.py"), store], check=True)


def ship(store: Path, address: str) -> str:
    """Ship everything, as if nothing had been shipped before."""
    for cursor in (store / ".state" / "cursors").glob("otlp-*.json"):
        cursor.unlink()
    environ = os.environ | {"OTEL_EXPORTER_OTLP_HEADERS": "x-mlflow-experiment-id=0"}
    command = [sys.executable, "-m", "instrument_cli", "ship", "--to", "otlp", address, "-d", str(store)]
    return subprocess.run(command, check=True, capture_output=True, text=True, env=environ).stdout.strip()


def seen_in_phoenix(address: str) -> Seen:
    """What Phoenix shows, by its GraphQL interface, which its pages ask, too."""
    content = json.dumps({"query": PHOENIX_QUERY}).encode()
    request = urllib.request.Request(f"{address}/graphql", content, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        data = json.load(answer)["data"]
    [project] = [edge["node"] for edge in data["projects"]["edges"]]
    spans = []
    for edge in project["spans"]["edges"]:
        span = edge["node"]
        session, cost = span["trace"]["session"], (span["costSummary"] or {}).get("total") or {}
        spans.append(
            {
                "id": span["spanId"],
                "parent": span["parentId"],
                "trace": span["trace"]["traceId"],
                "name": span["name"],
                "kind": span["spanKind"].upper(),
                "failed": span["statusCode"] == "ERROR",
                "message": span["statusMessage"],
                "tokens": (span["tokenCountPrompt"], span["tokenCountCompletion"]),
                "cost": cost.get("cost"),
                "input": (span["input"] or {}).get("value"),
                "output": (span["output"] or {}).get("value"),
                "session": session and session["sessionId"],
                "user": span["userId"],
                "model": json.loads(span["attributes"]).get("llm", {}).get("model_name"),
                "attributes": json.loads(span["attributes"]),
            }
        )
    return Seen("phoenix", spans, project["tokenCountTotal"], project["id"])


def seen_in_mlflow(address: str) -> Seen:
    """What MLflow shows, by its own client."""
    python = RECEIVERS["mlflow"].folder / "bin" / "python"
    answer = subprocess.run(
        [python, "-c", MLFLOW_CODE, address], check=True, capture_output=True, text=True, env=os.environ | _QUIET
    )
    spans, tokens = [], 0
    for trace in json.loads(answer.stdout):
        tokens += (trace["tokens"] or {}).get("total_tokens", 0)
        for span in trace["spans"]:
            about: dict[str, Any] = span["attributes"]
            usage, cost = about.get("mlflow.chat.tokenUsage") or {}, about.get("mlflow.llm.cost")
            cost = json.loads(cost) if isinstance(cost, str) else cost
            spans.append(
                {
                    "id": span["id"],
                    "parent": span["parent"],
                    "trace": span["trace"].removeprefix("tr-"),
                    "name": span["name"],
                    "kind": span["kind"],
                    "failed": span["status"] == "ERROR",
                    "message": span["message"],
                    "tokens": (usage.get("input_tokens"), usage.get("output_tokens")),
                    "cost": (cost or {}).get("total_cost"),
                    "input": about.get("mlflow.spanInputs"),
                    "output": about.get("mlflow.spanOutputs"),
                    "session": trace["metadata"].get("mlflow.trace.session"),
                    "user": trace["metadata"].get("mlflow.trace.user"),
                    "model": about.get("mlflow.llm.model"),
                    "attributes": about,
                }
            )
    return Seen("mlflow", spans, tokens, "0")


SEEN = {"phoenix": seen_in_phoenix, "mlflow": seen_in_mlflow}


def settled(name: str, address: str, expected: int) -> Seen:
    """What the receiver shows once it has taken in all spans, or after some seconds."""
    until = time.monotonic() + 30
    while True:
        seen = SEEN[name](address)
        if len(seen.spans) >= expected or time.monotonic() > until:
            return seen
        time.sleep(1)


def draw(receiver: Receiver, address: str, seen: Seen, folder: Path) -> None:
    """Draw its pages as Chromium shows them."""
    from browsing import ARGUMENTS
    from playwright.sync_api import sync_playwright

    filled = {"project": seen.project, "trace": seen.trace}
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=list(ARGUMENTS))
        page = chromium.new_page(viewport={"width": 1500, "height": 900})
        for name, path in receiver.pages.items():
            page.goto(address + path.format(**filled), wait_until="domcontentloaded")
            page.wait_for_timeout(8000)
            page.screenshot(path=folder / f"{receiver.name}-{name}.png")
        chromium.close()


def try_one(receiver: Receiver, pictures: Path | None) -> bool:
    """Try one receiver, and print what stood where; True when everything stood where it should."""
    good = True
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        store = folder / "store"
        record(store)
        with running(receiver, folder) as address:
            print(f"{receiver.name} {receiver.version}: {ship(store, address)}")
            expected = spans_of(store)
            first = settled(receiver.name, address, expected)
            ship(store, address)
            time.sleep(3)
            seen = settled(receiver.name, address, expected)
            for what, wanted, found in checks(store, expected, first, seen):
                good = good and wanted == found
                print(
                    f"  {'yes' if wanted == found else 'NO '}  {what}: {found!r}"
                    + f" not {wanted!r}" * (wanted != found)
                )
            if pictures is not None:
                draw(receiver, address, seen, pictures)
    return good


def spans_of(store: Path) -> int:
    """How many spans the store is worth."""
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    from instrument.exporters.otlp import requests
    from instrument.store.tail import follow_rows

    rows = [row for batch in follow_rows(store).batches() for row in batch]
    request = ExportTraceServiceRequest.FromString(requests.traces(rows, requests.Resources({})))
    return sum(len(scope.spans) for each in request.resource_spans for scope in each.scope_spans)


def main() -> int:
    """Try the receivers that are named, or both."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="RECEIVER", help=" or ".join(RECEIVERS))
    parser.add_argument("--pictures", type=Path, metavar="FOLDER")
    given = parser.parse_args()
    if unknown := set(given.names) - set(RECEIVERS):
        parser.error(f"{', '.join(sorted(unknown))}: choose of {', '.join(RECEIVERS)}")
    if given.pictures is not None:
        given.pictures.mkdir(parents=True, exist_ok=True)
    results = [try_one(RECEIVERS[name], given.pictures) for name in given.names or RECEIVERS]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.path.append(str(ROOT / "tests" / "web"))
    sys.exit(main())
