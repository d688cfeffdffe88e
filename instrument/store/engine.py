"""DuckDB, by its compiled module where that is enough.

`import duckdb` takes 0.13 s of CPU, `import _duckdb` 0.02 (2.0.0; `python -m benchmarks ingredients`): a fifth of a
report over a small store. The rest of the package, relations and scans of other libraries' tables, is not used here.
Where the module is not to be had under that name, the package serves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb
else:
    try:
        import _duckdb as duckdb

        _ = (duckdb.connect, duckdb.Error, duckdb.IOException, duckdb.InvalidInputException)
    except (ImportError, AttributeError):
        import duckdb

__all__ = ["duckdb"]
