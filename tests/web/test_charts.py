"""Every chart as a file: reachable from its page, whole by itself, and drawn as on the page."""

from __future__ import annotations

import html
import re
import urllib.error
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.web.browsing import Browser
from tests.web.conftest import State

SVG = "{http://www.w3.org/2000/svg}"
FIGURES = ("queries", "succeeded", "median", "p95", "tokens", "cost")
CHARTS = {
    "overview": {"queries", "complexity", "agents", *(f"figure-{each}" for each in FIGURES)},
    "queries": {"matches"},
    "agents": {"durations", "over"},
    "tools": {"durations"},
    "query": {"calls", "standing"},
    "sql": {"answer"},
    "trends": {"queries", "failure_rate", "p50", "p95", "tool_failure_rate", "tokens", "cost"},
}
LOOK = """(chart) => [...chart.querySelectorAll("*")].map((each) => {
    const style = getComputedStyle(each), shape = ["d", "x", "y", "x1", "points"];
    const words = each.tagName === "text" ? [style.fontSize, each.textContent] : [];
    const colours = [style.fill, style.stroke, style.strokeWidth, style.opacity];
    return [each.tagName, ...colours, ...words, ...shape.map((name) => each.getAttribute(name))];
})"""
"""How every part of a chart looks in the browser: its colours, its words, its shape."""


def links(page: str) -> dict[str, str]:
    found = [html.unescape(each) for each in re.findall(r'href="(/svg/[^"]+)"', page)]
    return {re.findall(r"/([^/]+)\.svg", each)[0]: each for each in found}


@pytest.mark.parametrize("name", CHARTS)
def test_every_chart_of_a_page_is_a_file_that_is_whole_by_itself(name: str, state: Callable[[str], State]) -> None:
    server, charts = state("week").server, links(state("week").read(name))
    assert set(charts) == CHARTS[name]
    for address in charts.values():
        file = server.get(address)
        root = ElementTree.fromstring(file)
        assert root.tag == f"{SVG}svg"
        assert float(root.get("width", "0")) > 200
        assert float(root.get("height", "0")) > 60
        assert root.find(f"{SVG}style") is not None
        assert {each.tag.removeprefix(SVG) for each in root.iter()} <= {
            "svg", "style", "rect", "text", "path", "line", "polyline", "title",
        }  # fmt: skip
        assert "url(" not in file
        assert "href" not in file


def test_hostile_names_break_no_file(state: Callable[[str], State]) -> None:
    for name in CHARTS:
        for address in links(state("hostile").read(name)).values():
            ElementTree.fromstring(state("hostile").server.get(address))


def test_a_chart_that_a_page_has_not_is_said_so(state: Callable[[str], State]) -> None:
    wrong = ("/svg/nothing.svg", 404), ("/svg/agents/nothing.svg", 404), ("/svg/x.svg?where=y", 400)
    for address, code in (*wrong, ("/svg/queries/nothing-like-it/calls.svg", 404)):
        with pytest.raises(urllib.error.HTTPError) as refused:
            state("week").server.get(address)
        assert refused.value.code == code
        refused.value.close()


@pytest.mark.parametrize(
    ("name", "chart", "drawn"),
    [
        ("overview", "queries", "#time-panel"),
        ("queries", "matches", "#f-matches .stretched"),
        ("agents", "over", "#f-over .stretched"),
    ],
)
def test_a_file_is_drawn_as_the_chart_on_its_page(
    name: str, chart: str, drawn: str, state: Callable[[str], State], browser: Browser, tmp_path: Path
) -> None:
    week = state("week")
    page = browser.page(viewport={"width": 1280, "height": 900}, color_scheme="dark")
    page.goto(week.addresses[name])
    on_page = page.locator(drawn).evaluate(LOOK)
    file = tmp_path / "chart.svg"
    file.write_text(week.server.get(links(page.content())[chart]))
    page.goto(file.as_uri())
    in_file = page.locator("svg svg svg").first.evaluate(LOOK)
    page.context.close()
    assert len(on_page) >= 10
    assert in_file == on_page
