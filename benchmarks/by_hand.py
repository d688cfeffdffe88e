"""The yardstick: what people write where they have no library, a decorator that times a function and logs one line.

It is measured in turns with recording. What slows memory and caches down, such as the neighbours of a virtual machine,
slows both alike: docs/overhead.md shows how little their ratio moves.
"""

from __future__ import annotations

import functools
import inspect
import logging
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.subject import Kit

LINE = "%(asctime)s %(levelname)s %(name)s %(message)s"


@contextmanager
def by_hand() -> Iterator[Kit]:
    """A kit whose decorators log into a file, as `logging.FileHandler` does; the file is deleted afterwards."""
    log = logging.getLogger("benchmarks.by_hand")
    log.setLevel(logging.INFO)
    log.propagate = False
    with tempfile.TemporaryDirectory(prefix="agent-instrument-benchmark-") as folder:
        file = logging.FileHandler(Path(folder, "calls.log"), encoding="utf-8")
        file.setFormatter(logging.Formatter(LINE))
        log.addHandler(file)
        try:
            decorate = functools.partial(_logged, log)
            yield Kit(decorate, decorate, decorate)
        finally:
            log.removeHandler(file)
            file.close()


def _logged(log: logging.Logger, function: Callable[..., Any]) -> Callable[..., Any]:
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def wait(*args: Any, **kwargs: Any) -> Any:
            began = time.perf_counter()
            try:
                return await function(*args, **kwargs)
            finally:
                log.info("%s took %.6f s", function.__qualname__, time.perf_counter() - began)

        return wait

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        began = time.perf_counter()
        try:
            return function(*args, **kwargs)
        finally:
            log.info("%s took %.6f s", function.__qualname__, time.perf_counter() - began)

    return call
