"""The version, in the one place that the build and `instrument.__version__` both read."""

__version__ = "0.2.0"
