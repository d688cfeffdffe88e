"""The frameworks that can be hooked in: what is awaited, and which versions were tried."""

from __future__ import annotations

from typing import NamedTuple


class Framework(NamedTuple):
    """A framework: hooked in by `hook_in` in the file of its name, once `module` has been imported.

    `distribution` is whose version is asked, empty for the standard library; versions from `since` up to, not
    including, `before` were tried.
    """

    module: str
    distribution: str = ""
    since: str = ""
    before: str = ""


FRAMEWORKS = {
    "threads": Framework("threading"),
}
