"""What one does with the pages, in the real browser: narrow, page, sort, open, copy, with and without script."""

from __future__ import annotations

import html
import re
import urllib.error
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.web.browsing import Browser
from tests.web.conftest import State
from tests.web.watching import record

WIDE = {"width": 1280, "height": 900}


@pytest.fixture
def week(state: Callable[[str], State]) -> State:
    return state("week")


@pytest.fixture
def page(browser: Browser) -> Iterator[Any]:
    """A page of a desk's size; it may have said nothing in the console when the test ends."""
    opened = browser.page(viewport=WIDE, timezone_id="UTC")
    yield opened
    opened.context.close()
    assert browser.said == []


@pytest.fixture
def plain_page(browser: Browser) -> Iterator[Any]:
    """A page without JavaScript."""
    opened = browser.page(viewport=WIDE, java_script_enabled=False)
    yield opened
    opened.context.close()


def asked(address: str) -> dict[str, list[str]]:
    return parse_qs(urlsplit(address).query)


def total(page: Any) -> int:
    return int(page.locator("#f-matches strong").inner_text().replace(",", ""))


def links(text: str, what: str) -> list[str]:
    return [html.unescape(each) for each in re.findall(what, text)]


def ids_of(text: str) -> list[str]:
    return re.findall(r'<tr class="query[^"]*" data-id="([^"]+)"', text)


# -- the list of queries


def test_a_facet_says_how_many_queries_a_click_on_it_leaves(week: State, plain_page: Any) -> None:
    page = plain_page
    page.goto(week.addresses["queries"])
    for facet, value in (("Outcome", "failed"), ("Agent", "billing"), ("Tool", "find_customers"), ("tenant", "north")):
        box = page.locator(".facet").filter(has=page.locator("h2", has_text=re.compile(f"^{facet}$")))
        link = box.locator("a").filter(has_text=value)
        said = link.locator(".number").inner_text()
        link.click()
        assert f"{total(page):,}" == said
        assert box.locator("[aria-current]").inner_text().startswith(value)
    assert len(asked(page.url)["where"]) == 4
    page.locator(".facet [aria-current]").first.click()  # once more: it is taken away
    assert len(asked(page.url)["where"]) == 3


def test_the_pages_of_the_list_have_every_query_once_and_lead_back(week: State) -> None:
    address = week.addresses["queries"].removeprefix(week.server.address) + "&where=outcome%3Dfailed&sort=duration"
    first, seen, pages = week.server.get(address), list[str](), 0
    text = first
    while True:
        seen, pages = seen + ids_of(text), pages + 1
        following = links(text, r'href="([^"]+)" rel="next"')
        if not following:
            break
        text = week.server.get(following[0])
    said = re.findall(r'class="strong">([\d,]+)</strong>', first)[0]
    assert len(seen) == len(set(seen)) == int(said.replace(",", ""))
    for _ in range(pages - 1):
        text = week.server.get(links(text, r'href="([^"]+)" rel="prev"')[0])
    assert ids_of(text) == ids_of(first)


def test_search_finds_what_an_input_has_and_a_query_by_its_id(week: State, plain_page: Any) -> None:
    page = plain_page
    page.goto(week.addresses["queries"])
    page.fill("#search", "OUTAGE in brazil")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    inputs = page.locator("table.queries td.wide").all_inner_texts()
    assert len(inputs) > 5
    assert all("outage in Brazil" in each for each in inputs)
    one = page.locator("tr.query").nth(3).get_attribute("data-id")
    page.fill("#search", one)
    with page.expect_navigation():
        page.get_by_role("button", name="Search").click()
    assert page.locator("tr.query").count() == 1
    assert page.locator("tr.query").get_attribute("data-id") == one


def test_a_cell_of_the_list_narrows_it(week: State, plain_page: Any) -> None:
    page = plain_page
    page.goto(week.addresses["queries"])
    cell = page.locator("table.queries td.name a").nth(2)
    agent = cell.inner_text()
    cell.click()
    assert asked(page.url)["where"] == [f"agent={agent}"]
    assert set(page.locator("table.queries td.name").all_inner_texts()) == {agent}


def test_the_slowest_queries_say_where_their_time_went(week: State, page: Any) -> None:
    page.goto(week.addresses["overview"])
    page.get_by_role("link", name="slowest").click()
    took = page.locator("#f-spent")
    assert "Where the time of these 50 went" in took.inner_text()
    shares = [float(each) for each in re.findall(r"([\d.]+) %", took.inner_text())]
    assert 99 < sum(shares) < 101
    name = took.locator("a").first.inner_text()
    took.locator("a").first.click()
    assert re.search(rf"(tool|operation)={re.escape(name)}", str(asked(page.url)["where"]))


# -- state in the address, back and forward, without script


def test_filters_and_period_go_with_one_to_other_pages_and_back(week: State, page: Any) -> None:
    page.goto(week.addresses["overview"])
    page.fill(".filter .add", "tenant=north")
    page.keyboard.press("Enter")
    page.wait_for_selector("a.chip >> text=tenant=north")
    figures = page.locator(".figures").inner_text()
    page.get_by_role("link", name="Tools", exact=True).click()
    page.wait_for_url("**/tools?**")
    assert asked(page.url)["where"] == ["tenant=north"]
    assert asked(page.url)["since"] == asked(week.addresses["overview"])["since"]
    page.go_back()
    assert page.locator(".figures").inner_text() == figures
    page.go_back()
    assert page.locator("a.chip >> text=tenant=north").count() == 0
    page.go_forward()
    assert page.locator(".figures").inner_text() == figures
    page.locator("a.chip >> text=tenant=north").click()
    assert "where" not in asked(page.url)


def test_a_filter_added_on_a_page_takes_nothing_of_its_state_away(week: State, plain_page: Any) -> None:
    page = plain_page
    for name, kept in (("agents", "of"), ("sql", "sql"), ("compare", "from")):
        page.goto(week.addresses[name])
        page.fill(".filter .add", "tenant=north")
        page.get_by_role("button", name="Apply").click()
        assert asked(page.url)[kept] == asked(week.addresses[name])[kept]
        assert asked(page.url)["where"] == ["tenant=north"]


@pytest.mark.parametrize("path", ["/", "/trends", "/tools"])
def test_every_period_can_be_chosen_on_every_page_and_is_marked(week: State, plain_page: Any, path: str) -> None:
    page = plain_page
    page.goto(week.server.address + path)
    for name in ("15m", "1h", "24h", "7d", "30d"):
        page.locator(".segments a").filter(has_text=re.compile(f"^{name}$")).click()
        assert page.locator(".segments [aria-current]").inner_text() == name


def test_rows_are_ticked_and_laid_over_each_other_without_script(week: State, plain_page: Any) -> None:
    page = plain_page
    page.goto(week.addresses["tools"])
    for name in ("find_bills", "search_plans"):
        page.get_by_label(f"Compare {name}", exact=True).check()
    page.get_by_role("button", name="Lay the ticked ones").click()
    assert page.locator("#f-over .legend").inner_text().split() == ["find_bills", "search_plans"]
    assert page.get_by_label("Compare find_bills", exact=True).is_checked()


def test_a_table_is_sorted_by_its_heads(week: State, plain_page: Any) -> None:
    page = plain_page
    page.goto(week.addresses["tools"])
    page.get_by_role("link", name="Failed").click()
    rates = [float(each.rstrip(" %")) for each in page.locator("tbody tr td:nth-child(3)").all_inner_texts()]
    assert rates == sorted(rates, reverse=True)
    assert page.locator("th [aria-current]").inner_text().startswith("Failed")
    assert page.locator("tbody tr").first.inner_text().startswith("send_tickets")


def test_tools_name_the_one_that_got_worse(week: State, plain_page: Any) -> None:
    page = plain_page
    page.goto(week.addresses["tools"])
    assert "Tool check_coverage is slower" in page.locator("#f-worse").inner_text()
    row = page.locator("tr", has=page.get_by_role("link", name="check_coverage", exact=True))
    assert row.locator(".delta.bad").count() == 1
    steady = page.locator("tr", has=page.get_by_role("link", name="find_plans", exact=True))
    assert steady.locator(".delta").count() == 3
    assert steady.locator(".delta.bad, .delta.good").count() == 0


# -- one query


def test_next_and_previous_keep_to_the_filter_and_the_order_of_the_list(week: State, page: Any) -> None:
    page.goto(week.addresses["queries"] + "&where=agent%3Drefunds&sort=duration")
    listed = page.locator("tr.query").evaluate_all("(rows) => rows.slice(0, 3).map((row) => row.dataset.id)")
    page.locator("tr.query a.open").first.click()
    walked = []
    for key in ("n", "n", "p"):
        walked.append(page.locator(".one").get_attribute("data-id"))
        page.keyboard.press(key)
        page.wait_for_function("(id) => document.querySelector('.one')?.dataset.id !== id", arg=walked[-1])
    walked.append(page.locator(".one").get_attribute("data-id"))
    assert walked == [*listed, listed[1]]
    page.get_by_role("link", name="Queries", exact=True).nth(1).click()
    assert asked(page.url)["sort"] == ["duration"]
    assert asked(page.url)["where"] == ["agent=refunds"]


def test_calls_open_collapse_and_zoom(week: State, page: Any) -> None:
    page.goto(week.addresses["query"])
    inner = page.locator(".row", has_text="query Bills")
    inner.locator("summary").click()
    assert "Began after" in inner.inner_text()
    page.get_by_role("button", name="Collapse").click()
    assert not inner.is_visible()
    assert page.locator(".row", has_text="get_bills").is_visible()
    page.get_by_role("button", name="Expand").click()
    assert inner.is_visible()
    wide = page.locator(".waterfall").bounding_box()["width"]
    page.get_by_role("button", name="Zoom in").click()
    assert page.locator(".waterfall").bounding_box()["width"] == pytest.approx(2 * wide, abs=2)
    page.get_by_role("button", name="Zoom out").click()
    assert page.locator(".waterfall").bounding_box()["width"] == pytest.approx(wide, abs=2)


def test_an_id_is_copied(week: State, browser: Browser) -> None:
    page = browser.page(viewport=WIDE, permissions=["clipboard-read", "clipboard-write"])
    page.goto(week.addresses["query"])
    page.get_by_role("button", name="copy id").click()
    page.wait_for_selector("button:text-is('copied')")
    assert page.evaluate("navigator.clipboard.readText()") == page.locator(".one").get_attribute("data-id")
    page.context.close()


def test_what_there_is_not_is_a_page_with_the_status_404(week: State) -> None:
    for path, said in (
        ("/queries/019a8fc1-4780-7000-8000-ffffffffffff", "There is no such query"),
        ("/queries/nothing-like-it", "There is no such query"),
        ("/nothing", "There is no page here"),
    ):
        with pytest.raises(urllib.error.HTTPError) as refused:
            week.server.get(path)
        with refused.value as answer:
            assert answer.code == 404, path
            text = answer.read().decode()
        assert said in text
        assert 'aria-label="Pages"' in text
    with pytest.raises(urllib.error.HTTPError) as refused:
        week.server.get("/api/queries/019a8fc1-4780-7000-8000-ffffffffffff")
    with refused.value as answer:
        assert answer.code == 404
        assert answer.read().decode().startswith('{"error":')


# -- keys, pointer, themes


def test_every_link_and_field_is_reached_by_tab_and_shows_that_it_is(week: State, page: Any) -> None:
    page.goto(week.addresses["agents"])
    wanted = page.locator("a, button, input:not([type=hidden]), select, .scroll").locator("visible=true").count()
    reached = 0
    for _ in range(wanted + 20):
        page.keyboard.press("Tab")
        outline = page.evaluate("""() => {
            const here = document.activeElement;
            return here === document.body ? null : getComputedStyle(here).outlineStyle;
        }""")
        if outline is None:
            break
        assert outline != "none"
        reached += 1
    assert reached >= wanted
    page.goto(week.addresses["agents"])
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"


def test_the_crosshair_says_what_its_column_holds(week: State, page: Any) -> None:
    page.goto(week.addresses["overview"])
    box = page.locator("#time-panel").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + box["height"] * 0.5)
    said = page.locator(".tip").inner_text()
    assert re.search(r"\d\d Nov \d\d:\d\d – \d\d:\d\d UTC\n[\d,]+ queries, \d+ failed\nmedian .+ · p95 .+", said)
    page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] - 80)
    assert page.locator(".tip").count() == 0


def test_the_theme_is_chosen_by_a_key_and_remembered(week: State, page: Any) -> None:
    page.goto(week.addresses["overview"])
    paper = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(paper)
    page.keyboard.press("t")
    page.keyboard.press("t")
    assert page.locator("html").get_attribute("data-theme") == "dark"
    assert page.evaluate(paper) != light
    page.goto(week.addresses["tools"])
    assert page.locator("html").get_attribute("data-theme") == "dark"
    page.keyboard.press("t")
    assert page.evaluate(paper) == light


def test_a_statement_runs_by_its_key_and_its_address_is_the_link_to_share(week: State, page: Any) -> None:
    page.goto(week.server.address + "/sql")
    page.fill("#sql", "SELECT 1 + 1 AS two, 'a' AS letter")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector("table.answer")
    assert page.locator("table.answer tbody").inner_text().split() == ["2", "a"]
    assert "SELECT 1 + 1 AS two" in asked(page.url)["sql"][0]
    page.reload()
    assert page.locator("table.answer tbody").inner_text().split() == ["2", "a"]


def test_nothing_moves_for_whom_motion_is_reduced(week: State, browser: Browser) -> None:
    page = browser.page(viewport=WIDE, reduced_motion="reduce")
    page.goto(week.addresses["queries"])
    page.evaluate("document.querySelector('tr.query').classList.add('new')")
    assert page.evaluate("document.getAnimations().length") == 0
    page.emulate_media(reduced_motion="no-preference")
    assert page.evaluate("document.getAnimations().length") > 0
    page.context.close()


def test_every_time_says_its_zone(week: State, plain_page: Any) -> None:
    page = plain_page
    for name in ("overview", "queries", "agents", "trends", "query"):
        page.goto(week.addresses[name].replace("tz=UTC", "tz=Asia%2FTokyo"))
        titles = page.locator("time[title]").evaluate_all("(times) => times.map((each) => each.title)")
        assert all(each.endswith(("JST", "+09:00")) for each in titles), name
        where = ".facts time" if name == "query" else ".covered"
        assert "JST" in page.locator(where).inner_text(), name


def test_a_page_allows_no_inline_script_or_style_and_demands_trusted_types(week: State, browser: Browser) -> None:
    page = browser.page(expected=("TrustedHTML",))
    answer = page.goto(week.addresses["overview"])
    policy = answer.headers["content-security-policy"]
    assert "unsafe-" not in policy
    assert "default-src 'none'" in policy
    assert "require-trusted-types-for 'script'" in policy
    assert page.evaluate("() => { try { document.body.innerHTML = '<b>'; return false; } catch { return true; } }")
    page.context.close()
    assert browser.said == []


def test_a_hidden_tab_closes_its_stream_and_opens_it_again(week: State, browser: Browser) -> None:
    page = browser.page(viewport=WIDE)
    page.goto(week.server.address + "/queries?period=15m")
    page.wait_for_selector("#live.on")
    for hidden in ("true", "false"):
        page.evaluate(
            f"""() => {{
            Object.defineProperty(document, "hidden", {{ value: {hidden}, configurable: true }});
            document.dispatchEvent(new Event("visibilitychange"));
        }}"""
        )
        page.wait_for_timeout(300)
        streams = [each for each in browser.asked if "/live?" in each]
        assert len(streams) == (1 if hidden == "true" else 2)
    page.context.close()


def test_a_store_that_has_just_begun_leads_to_the_part_that_has_its_queries(
    serve: Callable[..., Any], tmp_path: Path, plain_page: Any
) -> None:
    page, store = plain_page, tmp_path / "monitoring"
    record(store, 40)
    server = serve(store)
    page.goto(server.address)
    closer = page.get_by_role("link", name="all of them within the last")
    while closer.count():  # an hour first, where a column of the day began more than 15 minutes ago
        closer.click()
        page.wait_for_load_state()
        assert page.locator(".figure .value").first.inner_text() == "40"
    assert asked(page.url) == {"period": ["15m"]}
    page.goto(server.address + "/trends")
    assert "Too little to see a trend yet" in page.inner_text("main")


def test_few_queries_of_a_past_period_lead_to_their_part_of_it(state: Callable[[str], State], plain_page: Any) -> None:
    page = plain_page
    page.goto(state("hostile").addresses["overview"])
    page.get_by_role("link", name="look closer").click()
    assert page.locator(".figure .value").first.inner_text() == "6"
    assert page.get_by_role("link", name="look closer").count() == 0
