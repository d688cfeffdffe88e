"""The yardstick records what it says: a line a call, in a file of its own that is gone afterwards."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from benchmarks.by_hand import by_hand
from benchmarks.subject import fresh_call


def files_of(name: str) -> list[logging.FileHandler]:
    """A logger's handlers that write files; pytest adds others, which do not."""
    return [one for one in logging.getLogger(name).handlers if isinstance(one, logging.FileHandler)]


@pytest.mark.parametrize("asynchronous", [False, True])
def test_the_yardstick_logs_a_line_a_call_into_a_file_that_is_gone_afterwards(asynchronous: bool) -> None:
    with by_hand() as kit:
        [handler] = files_of("benchmarks.by_hand")
        file = Path(handler.baseFilename)
        call = fresh_call(kit, asynchronous=asynchronous)
        answer = asyncio.run(call()) if asynchronous else call()
        lines = file.read_text("utf-8").splitlines()
    assert answer == "2 unpaid bills in India"
    names = [line.split()[-4].rpartition(".")[2] for line in lines]
    assert names == [
        "find_country",
        "_execute_graphql",
        "rank_customers",
        "_execute_graphql",
        "write_answer",
        "process_query",
    ]
    assert all(float(line.split()[-2]) >= 0 for line in lines)
    assert not file.exists()
    assert files_of("benchmarks.by_hand") == []
