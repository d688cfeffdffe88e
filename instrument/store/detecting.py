"""What a file is that is to be imported: its content says so, not its name."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal

from instrument.errors import StoreError
from instrument.interchange import inspect_ai, langfuse, otlp
from instrument.interchange.json_values import DAMAGED, MARK, decode

Shape = Literal["metrics_json", "metrics_csv", "lines", "parquet", "other_json"]
Traces = Literal["langfuse", "otlp", "inspect"]

_FIRST_BYTES = 1 << 20
_OURS = re.compile(rb"\[?\s*\{\s*\"(queries|agent_selections|query_id|type)\"")


def shape_of(file: Path) -> Shape:
    """What a file's beginning shows it to be; raises StoreError when it is nothing that can be imported."""
    try:
        with open(file, "rb") as stream:
            first = stream.read(_FIRST_BYTES)
    except FileNotFoundError:
        raise StoreError(file, "there is no such file") from None
    except OSError as error:
        raise StoreError(file, f"the file cannot be read: {error.strerror}") from None
    text = first.removeprefix(MARK).lstrip()
    if first[:4] == b"PAR1":
        return "parquet"
    if not text:
        raise StoreError(file, "the file is empty; there is nothing to import")
    if text[:1] in b"{[":
        return "lines" if _is_segment(text) else "metrics_json" if _OURS.match(text) else "other_json"
    if {"timestamp", "query_id"} <= set(text.partition(b"\n")[0].decode("utf-8", "replace").strip().split(",")):
        return "metrics_csv"
    raise StoreError(
        file,
        "this is no file of metrics; metrics.json, metrics.csv, segments (.jsonl), Parquet exports, and traces of"
        " Langfuse, OpenTelemetry (OTLP) and Inspect as JSON can be imported",
    )


def traces_of(document: Any) -> Traces | None:
    """Whose traces the first document of a file is of; None for anybody else's."""
    if otlp.is_otlp(document):
        return "otlp"
    if inspect_ai.is_inspect(document):
        return "inspect"
    return "langfuse" if langfuse.is_langfuse(document) else None


def _is_segment(text: bytes) -> bool:
    """Whether one of the first lines is a record of ours; the very first may be torn."""
    for line in text.split(b"\n", 3)[:3]:
        try:
            record = decode(line)
        except DAMAGED:
            continue
        if isinstance(record, dict) and isinstance(record.get("t"), int) and "query_id" not in record:
            return True
    return False
