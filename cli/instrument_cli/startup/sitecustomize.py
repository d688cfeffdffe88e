"""What `metrics run` has every Python of the application do first: install the integrations, then be gone.

Python imports a module of this name before anything of the application's, wherever PYTHONPATH has it. It may be run by
any Python that the application starts, also by one that does not have our package: hence nothing here needs it.
"""

import os
import sys

HERE = os.path.dirname(__file__)


def give_way() -> None:
    """Leave the path as it would have been, and run the environment's own sitecustomize, which ours hides."""
    sys.path[:] = [path for path in sys.path if path != HERE]
    ours = sys.modules.pop(__name__)
    try:
        __import__(__name__)
    except ImportError as error:
        if error.name != __name__:
            raise
        sys.modules[__name__] = ours


def begin() -> None:
    """Install what `metrics run` was told to, by default everything."""
    try:
        from instrument import install
    except ImportError:
        return
    try:
        install(*[name for name in os.environ.get("INSTRUMENT_RUN", "").split(",") if name])
    except Exception as error:  # noqa: BLE001 - the application goes on
        sys.stderr.write(f"metrics run: nothing is recorded: {error}\n")


if __name__ == "sitecustomize":
    try:
        give_way()
    finally:
        begin()
