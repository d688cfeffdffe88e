"""Every page looks as it did, in each kind of store; a picture that should change is renewed and looked at.

`UPDATE_EXPECTED=1 pytest tests/web/test_looks.py` writes the pictures of tests/web/pictures anew. Where a page differs,
the new picture and the places that differ lie in build/pictures.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.programs import REQUIRED
from tests.web import looks, states
from tests.web.browsing import Browser
from tests.web.conftest import State

KEPT = Path(__file__).parent / "pictures"
BUILT = Path(__file__).parents[2] / "build" / "pictures"
RENEW = bool(os.environ.get("UPDATE_EXPECTED"))
DESK = {"viewport": {"width": 1280, "height": 800}, "color_scheme": "light"}
PHONE = {"viewport": {"width": 360, "height": 700}, "color_scheme": "dark"}
FOR_A_MILLION = ("overview", "queries", "query", "agents", "tools", "sql")
"""The pages of a million queries that are looked at: the others are drawn alike, and take long."""

SHAPES = [*((name, "desk") for name in states.STATES), ("week", "phone")]


def opened(browser: Browser, shape: str) -> Any:
    context = {"desk": DESK, "phone": PHONE}[shape]
    page = browser.page(
        expected=("404",), device_scale_factor=looks.HALF, bypass_csp=True, timezone_id="UTC", locale="en-GB", **context
    )
    if not looks.has_font(page):
        (pytest.fail if REQUIRED else pytest.skip)("the pictures are drawn with DejaVu Sans (fonts-dejavu-core)")
    return page


def shown(page: Any, address: str, name: str) -> bytes:
    page.set_viewport_size({"width": page.viewport_size["width"], "height": 700})
    page.goto(address)
    looks.steadied(page, name)
    return looks.taken(page)


@pytest.mark.parametrize(("name", "shape"), SHAPES)
def test_every_page_looks_as_it_did(name: str, shape: str, state: Callable[[str], State], browser: Browser) -> None:
    page = opened(browser, shape)
    different = {}
    for part, address in state(name).addresses.items():
        if name == "million" and part not in FOR_A_MILLION:
            continue
        title = f"{name}-{part}-{shape}"
        png = shown(page, address, part)
        picture, before = looks.reduced(png), KEPT / f"{title}.png"
        if RENEW:
            KEPT.mkdir(exist_ok=True)
            picture.save(before, optimize=True)
            continue
        assert before.exists(), f"no picture of {title}: UPDATE_EXPECTED=1 pytest tests/web/test_looks.py"
        found = looks.difference(picture, looks.kept(before))
        if found.share > looks.MOST_DIFFERENT:
            BUILT.mkdir(parents=True, exist_ok=True)
            (BUILT / f"{title}-now.png").write_bytes(png)
            found.place.save(BUILT / f"{title}-different.png")
            different[title] = f"{found.share:.1%}"
    page.context.close()
    assert different == {}, f"these look different (see {BUILT}); if they should, renew them and look at them"


CHANGES = {
    "a panel is missing": "document.querySelector('#f-tools').remove()",
    "a figure is missing": "document.querySelector('.figure').remove()",
    "the bars have another colour": "document.documentElement.style.setProperty('--fill', '#4caf50')",
    "words have another colour": "document.documentElement.style.setProperty('--quiet', '#dddddd')",
    "the page is dark": "document.documentElement.setAttribute('data-theme', 'dark')",
    "a column is missing": "document.querySelectorAll('#f-agents tr > :nth-child(2)').forEach((cell) => cell.remove())",
    "the chart is empty": "document.querySelectorAll('#time-panel path').forEach((path) => path.remove())",
}


def test_what_a_reader_would_see_is_a_difference_and_other_digits_are_none(
    state: Callable[[str], State], browser: Browser
) -> None:
    page = opened(browser, "desk")
    address = state("week").addresses["overview"]
    before = looks.reduced(shown(page, address, "overview"))
    shares = {}
    for name, change in CHANGES.items():
        shown(page, address, "overview")
        page.evaluate(change)
        shares[name] = looks.difference(looks.reduced(looks.taken(page)), before).share
    assert {name: share for name, share in shares.items() if share <= looks.MOST_DIFFERENT} == {}
    shown(page, address, "overview")
    page.evaluate("document.querySelector('.figure .value').textContent = '4,688'")
    page.evaluate("document.querySelector('main').style.transform = 'translate(1px, 1px)'")
    alike = looks.difference(looks.reduced(looks.taken(page)), before)
    page.context.close()
    assert alike.share <= looks.MOST_DIFFERENT
