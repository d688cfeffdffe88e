"""What the first document's collector did, so that files of its making can be imported in tests."""

from __future__ import annotations

import csv
import json
from datetime import datetime
from pathlib import Path
from typing import Any

CSV_HEADER = "timestamp,query_id,agent_type,duration_ms,success,entities_detected,tool_calls,graphql_queries"


class SeedCollector:
    """Queries and selections in one list, local times, whole files at once."""

    def __init__(self) -> None:
        self.metrics: list[dict[str, Any]] = []

    def start(self, query_id: str, user_input: str, agent_type: str, at: datetime) -> None:
        self.metrics.append(
            {
                "query_id": query_id,
                "user_input": user_input,
                "agent_type": agent_type,
                "start_time": at,
                "status": "running",
            }
        )

    def finish(self, query_id: str, at: datetime, success: bool = True, **more: Any) -> None:
        for metric in self.metrics:
            if metric["query_id"] == query_id:
                metric |= {"end_time": at, "success": success, "status": "completed"}
                metric |= {"duration_ms": (at - metric["start_time"]).total_seconds() * 1000}
                metric |= {"result_size_bytes": 0, "error_type": None, "error_message": None} | more
                break

    def select(self, query_id: str, agent_type: str, score: float, reason: str, at: datetime) -> None:
        self.metrics.append(
            {
                "type": "agent_selection",
                "query_id": query_id,
                "selected_agent": agent_type,
                "complexity_score": score,
                "selection_reason": reason,
                "timestamp": at,
            }
        )

    def count(self, query_id: str, name: str) -> None:
        for metric in self.metrics:
            if metric["query_id"] == query_id:
                metric[name] = metric.get(name, 0) + 1
                break

    def detect(self, query_id: str, entities: list[str]) -> None:
        for metric in self.metrics:
            if metric["query_id"] == query_id:
                metric["entities_detected"] = entities
                break

    def save(self, file: Path, *, bare: bool = False, mixed: bool = True) -> Path:
        selections = [metric for metric in self.metrics if metric.get("type") == "agent_selection"]
        queries = self.metrics if mixed else [metric for metric in self.metrics if metric not in selections]
        document = {"queries": queries, "agent_selections": [] if mixed else selections}
        file.write_text(json.dumps(self.metrics if bare else document, indent=2, default=str))
        return file

    def save_csv(self, file: Path) -> Path:
        with open(file, "w", newline="") as stream:
            rows = csv.writer(stream)
            rows.writerow(CSV_HEADER.split(","))
            for metric in self.metrics:
                if metric.get("type") != "agent_selection" and "end_time" in metric:
                    rows.writerow(
                        [
                            metric["start_time"].isoformat(timespec="milliseconds") + "Z",
                            metric["query_id"],
                            metric["agent_type"],
                            int(metric["duration_ms"]),
                            str(metric["success"]).lower(),
                            ",".join(metric.get("entities_detected", [])),
                            metric.get("tool_calls", 0),
                            metric.get("graphql_queries", 0),
                        ]
                    )
        return file
