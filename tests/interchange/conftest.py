"""The rows that the tests of the store are made of serve here, too."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "store"))
