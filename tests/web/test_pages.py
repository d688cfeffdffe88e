"""The pages in a real browser, and as text: they work without script, obey their keys, and show what comes live."""

from __future__ import annotations

import html
import re
import signal
import time
import urllib.error
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.dashboard.filling import fill
from tests.web.browsing import Browser
from tests.web.conftest import Server, State
from tests.web.watching import record

PAGES = (
    "/",
    "/queries",
    "/agents",
    "/tools",
    "/graphql",
    "/models",
    "/trends",
    "/alerts",
    "/sql",
    "/health",
    "/compare",
)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory, serve_long: Callable[[Path, Path], Server]) -> Server:
    """One server for all tests that only look, over a store of the last day."""
    folder = tmp_path_factory.mktemp("pages")
    fill(folder / "monitoring", 1500, 0.9, time.time() - 30)
    return serve_long(folder / "monitoring", folder)


@pytest.fixture
def hostile(state: Callable[[str], State]) -> State:
    """A store whose every text is an attack, or too long, on every page and in what one may type."""
    found = state("hostile")
    period = found.addresses["queries"].partition("?")[2]
    oldest = html.unescape(re.findall(r'href="(/queries/[0-9a-f-]+[^"]*)"', found.read("queries"))[-1])
    typed = (
        oldest,
        f"/sql?{period}&sql=SELECT+*+FROM+queries",
        "/sql?sql=%3Cscript%3E",
        f"/queries?{period}&q=%3Cscript%3E",
    )
    more = {path: found.server.address + path for path in typed}
    return found._replace(addresses=found.addresses | more)


def _query_address(page: str) -> str:
    found = re.search(r'href="(/queries/[0-9a-f-]+[^"]*)"', page)
    assert found, page
    return html.unescape(found[1])


def test_every_page_is_whole_without_script(filled: Server) -> None:
    for path in PAGES:
        page = filled.get(path)
        assert page.startswith("<!doctype html>"), path
        assert page.endswith("</html>"), path
        assert " style=" not in page, path
        assert "<script>" not in page, path
    overview = filled.get("/")
    for words in ("95th percentile", "network-status", "find_", "GraphQLError", "small-1"):
        assert words in overview
    one = filled.get(_query_address(filled.get("/queries")))
    assert "Where the time went" in one
    assert "Slower than" in one


def test_a_filter_in_the_address_narrows_every_list(filled: Server) -> None:
    page = filled.get("/queries?where=agent%3Dbilling&where=outcome%3Dfailed")
    rows = re.findall(r'<tr class="query[^"]*"', page)
    assert rows
    assert all("bad" in row for row in rows)


def test_what_cannot_be_shown_is_said_on_a_page(serve: Callable[..., Any], tmp_path: Path, filled: Server) -> None:
    server = serve(tmp_path / "monitoring")
    assert "no store here yet" in server.get("/")
    for address in (
        "/?where=nonsense",
        "/queries?after=nonsense",
        "/?since=never",
        "/?tz=Nowhere",
        "/compare?from=x&to=y",
    ):
        with pytest.raises(urllib.error.HTTPError) as refused:
            filled.get(address)
        with refused.value as answer:
            assert answer.code == 400
            assert "This cannot be shown" in answer.read().decode()


def test_hostile_texts_are_texts_on_every_page(hostile: State) -> None:
    shown = {
        "overview",
        "queries",
        "agents",
        "tools",
        "graphql",
        "models",
        *(n for n in hostile.addresses if "SEL" in n),
    }
    shown |= {name for name in hostile.addresses if name.startswith("/queries/")}
    for name in hostile.addresses:
        page = hostile.read(name)
        assert "alert(1)" in page or name not in shown, name
        assert "<script>alert" not in page, name
        assert "<img src=x" not in page, name
        assert "\u202e" not in page, name


@pytest.mark.parametrize(
    "statement",
    [
        "COPY queries TO '/tmp/stolen.csv'",
        "SELECT * FROM read_text('/etc/passwd')",
        "ATTACH '/tmp/other.db'",
        "SELECT 1; DROP TABLE queries",
        "EXPORT DATABASE '/tmp/stolen'",
        "INSTALL httpfs",
        "SET enable_external_access = true",
    ],
)
def test_sql_is_one_select_over_the_tables(filled: Server, statement: str) -> None:
    from urllib.parse import quote

    page = filled.get(f"/sql?sql={quote(statement)}")
    assert 'role="alert"' in page
    assert "root:" not in page


def test_the_answer_as_csv_runs_no_formula(filled: Server) -> None:
    answer = filled.get("/sql.csv?sql=SELECT+%27%3D1%2B1%27+AS+a,+2+AS+b")
    assert answer.replace("\r\n", "\n") == "a,b\n'=1+1,2\n"


def test_pages_break_no_rule_of_their_policy_and_ask_no_other_host(filled: Server, browser: Browser) -> None:
    page = browser.page()
    one = _query_address(filled.get("/queries"))
    for path in (*PAGES, one):
        page.goto(filled.address + path)
    page.context.close()
    assert browser.said == []
    assert {address.split("/")[2] for address in browser.asked} == {filled.address.split("/")[2]}


ALIKE = """() => {
    dispatchEvent(new Event("pagehide"));  // nothing live brings them back
    const seen = new Map(), shape = (each) => each.tagName + each.getAttribute("class");
    for (const row of document.querySelectorAll("tbody tr, .facet li")) {
        const form = [row, ...row.querySelectorAll("*")].map(shape).join();
        seen.set(form, (seen.get(form) ?? 0) + 1);
        if (seen.get(form) > 2) row.remove();
    }
}"""
"""Leaves two of the rows that differ in their words alone: axe takes milliseconds for each of their cells."""


def test_axe_finds_nothing_on_any_page_in_either_theme(filled: Server, browser: Browser) -> None:
    from axe_playwright_python.sync_playwright import Axe

    one = _query_address(filled.get("/queries"))
    page = browser.page(bypass_csp=True)
    found = {}
    themes = {"light": {"resultTypes": ["violations"]}, "dark": {"runOnly": ["color-contrast"]}}
    for path in (*PAGES, one, "/queries?sort=duration", "/nothing"):
        page.goto(filled.address + path)
        page.evaluate(ALIKE)
        for theme, options in themes.items():
            page.emulate_media(color_scheme=theme)
            violations = Axe().run(page, options=options).response["violations"]
            found |= {f"{path} {theme} {each['id']}": each["nodes"][0]["html"][:200] for each in violations}
    assert found == {}
    page.evaluate("document.querySelector('h1').setAttribute('style', 'color: #fafafa; background: #fff')")
    violations = Axe().run(page, options=themes["dark"]).response["violations"]
    page.context.close()
    assert [each["id"] for each in violations] == ["color-contrast"]  # it does look


def test_a_query_is_on_the_screen_while_it_is_new_and_scroll_and_focus_stay(
    serve: Callable[..., Any], tmp_path: Path, browser: Browser
) -> None:
    store = tmp_path / "monitoring"
    record(store, 5)
    server = serve(store)
    page = browser.page()
    page.goto(server.address)
    page.wait_for_selector("#live.on")
    page.wait_for_timeout(800)
    page.focus(".filter .add")
    page.keyboard.type("tenant=")
    record(store, user_input="just now")
    page.wait_for_selector("table.latest >> text=just now", timeout=5000)
    page.wait_for_selector('.figure:first-child .value:text-is("6")', timeout=30000)
    assert page.evaluate("document.activeElement.value") == "tenant="
    page.context.close()


def test_the_browser_comes_back_after_a_restart(serve: Callable[..., Any], tmp_path: Path, browser: Browser) -> None:
    store = tmp_path / "monitoring"
    record(store, 5)
    server = serve(store)
    page = browser.page(expected=("ERR_CONNECTION_REFUSED", "ERR_INCOMPLETE_CHUNKED", "ERR_CONNECTION_RESET"))
    page.goto(server.address)
    page.wait_for_timeout(500)
    assert server.stop(signal.SIGTERM) == 0
    port = server.address.rpartition(":")[2]
    again = serve(store, "--port", port)
    assert again.address == server.address
    page.wait_for_selector("#live-word >> text=Live", timeout=10000)
    page.wait_for_timeout(500)
    record(store, user_input="after the restart")
    page.wait_for_selector("table.latest >> text=after the restart", timeout=10000)
    page.context.close()


def test_keys_move_peek_and_search(filled: Server, browser: Browser) -> None:
    page = browser.page()
    page.goto(filled.address + "/queries?still=1")
    page.keyboard.press("j")
    page.keyboard.press("j")
    second = page.locator("tr.query").nth(1)
    assert "at" in (second.get_attribute("class") or "").split()
    page.keyboard.press("Enter")
    page.wait_for_selector(".peek .one")
    assert page.locator(".peek .one").get_attribute("data-id") == second.get_attribute("data-id")
    page.keyboard.press("Escape")
    assert page.locator(".peek").count() == 0
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "search"
    assert page.input_value("#search") == ""
    page.context.close()


def test_dragging_zooms_and_with_shift_asks_what_differs(filled: Server, browser: Browser) -> None:
    page = browser.page()
    page.goto(filled.address + "/?still=1")

    def drag() -> None:
        box = page.locator("#time-panel").bounding_box()
        assert box is not None
        page.mouse.move(box["x"] + box["width"] * 0.4, box["y"] + box["height"] * 0.5)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + box["height"] * 0.8)
        page.mouse.up()

    page.keyboard.down("Shift")
    drag()
    page.keyboard.up("Shift")
    page.wait_for_url("**/compare?**")
    assert "held against" in page.inner_text("main")
    page.go_back()
    drag()
    page.wait_for_url("**since=**until=**")
    page.context.close()


def test_hostile_texts_run_nothing_in_a_browser(hostile: State, browser: Browser) -> None:
    page = browser.page()
    dialogs: list[str] = []
    page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    for address in hostile.addresses.values():
        page.goto(address)
    page.context.close()
    assert dialogs == []
    assert browser.said == []


def test_keys_reach_every_row_of_agents_and_open_one(filled: Server, browser: Browser) -> None:
    page = browser.page()
    page.goto(filled.address + "/agents?still=1")
    page.keyboard.press("j")
    page.keyboard.press("j")
    second = page.locator("table.groups tbody tr").nth(1)
    assert "at" in (second.get_attribute("class") or "").split()
    name = second.locator("a").inner_text()
    assert page.evaluate("document.activeElement.textContent") == name
    page.keyboard.press("Enter")
    page.wait_for_url("**/queries?**")
    assert page.locator(".filters a.chip").inner_text().startswith(f"agent={name}")
    page.context.close()


def test_alerts_say_when_a_rule_would_have_fired(serve: Callable[..., Any], tmp_path: Path) -> None:
    store = tmp_path / "monitoring"
    before = int((time.time() - 30) * 1e6)  # a rule is worked out to the second: not within the second of its moment
    record(store, 40, status="error", error="GraphQLError", started=before)
    rules = '[alert_targets]\nteam = "json://127.0.0.1:1/"\n'
    for name, figure, limit in (("a", "failure_rate", 0.5), ("b", "p95", 60_000)):
        rules += (
            f'[[alerts]]\nname = "{name}"\nfigure = "{figure}"\nabove = {limit}\nwindow = "15m"\nnotify = ["team"]\n'
        )
    (tmp_path / "instrument.toml").write_text(rules)
    server = serve(store)
    page = server.get("/alerts?past=a&since=-1d")
    assert "When a would have fired" in page
    assert "failure_rate 100.0 %" in page
    assert "It would not have fired" in server.get("/alerts?past=b")
    assert "No rule has the name" in server.get("/alerts?past=c")
