"""On paper: the report as HTML and the dashboard's pages are dark on light, nothing is cut, and rows stay whole."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.web import states
from tests.web.browsing import Browser
from tests.web.conftest import State

A4 = {"width": 700, "height": 1000}
"""What is left of A4 between its margins, in pixels."""

CUT = """() => {
    const wide = document.documentElement.clientWidth, found = [];
    for (const each of document.querySelectorAll("h1, h2, dd, td, th, svg.chart, svg.stretched")) {
        const box = each.getBoundingClientRect();
        if (box.width && box.right > wide + 1) found.push(`${each.tagName} ${each.textContent.slice(0, 30)}`);
    }
    return found;
}"""
LIGHTNESS = """() => ["color", "backgroundColor"].map((name) => {
    const [red, green, blue] = getComputedStyle(document.body)[name].match(/[\\d.]+/g).map(Number);
    return (red + green + blue) / 3;
})"""
TORN = """() => [...document.querySelectorAll("tr")].filter((row) => getComputedStyle(row).breakInside !== "avoid")
    .length"""
HEADS = """() => [...document.querySelectorAll("thead")].map((each) => getComputedStyle(each).display)"""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory, state: Callable[[str], State]) -> Path:
    folder = tmp_path_factory.mktemp("report")
    period = ["--since", states.SINCE.isoformat(), "--until", states.UNTIL.isoformat()]
    command = [sys.executable, "-m", "instrument_cli", "report", "--from", str(state("week").store), *period]
    done = subprocess.run([*command, "--format", "html"], capture_output=True, text=True, timeout=60, check=True)
    (folder / "report.html").write_text(done.stdout)
    return folder / "report.html"


def on_paper(page: Any, address: str) -> None:
    page.emulate_media(media="print", color_scheme="dark")
    page.goto(address)
    assert page.evaluate(CUT) == []
    ink, paper = page.evaluate(LIGHTNESS)
    assert ink < 80 < 200 < paper
    assert page.evaluate(TORN) == 0
    assert set(page.evaluate(HEADS)) <= {"table-header-group"}  # the heads come again on every sheet


def test_the_report_prints_whole_on_few_sheets(report: Path, browser: Browser) -> None:
    page = browser.page(viewport=A4)
    on_paper(page, report.as_uri())
    sheets = len(re.findall(rb"/Type\s*/Page\b", page.pdf(format="A4", prefer_css_page_size=True)))
    page.context.close()
    assert 2 <= sheets <= 5
    assert browser.said == []


def test_the_pages_print_with_their_period_and_without_what_one_clicks(
    state: Callable[[str], State], browser: Browser
) -> None:
    page = browser.page(viewport=A4)
    for name in ("overview", "agents", "query", "trends"):
        on_paper(page, state("week").addresses[name])
        assert not page.locator("nav, button, .filter").locator("visible=true").count(), name
        if name != "query":
            assert page.locator(".covered").is_visible(), name
    page.context.close()
