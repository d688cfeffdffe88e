"""The live view: driven by Textual's pilot, in a real terminal, and as plain lines in a pipe."""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Awaitable, Callable
from datetime import UTC
from pathlib import Path

import pytest
from cli_store import Answer, command, environment, failed_query, query, write
from instrument_cli.watch.drawing import DARK, chart
from instrument_cli.watch.feed import Asked, Event, Feed, Figures, Fresh, Trouble, View
from instrument_cli.watch.one_query import OneQuery
from instrument_cli.watch.query_list import QueryList, drawn_row
from instrument_cli.watch.rows import MOST, Row
from instrument_cli.watch.screen import Watch, understood
from textual.pilot import Pilot
from textual.widgets import Input

from instrument.analysis.filters import Filter, parsed
from instrument.analysis.periods import period
from instrument.analysis.results import Limits
from instrument.config import Config
from instrument.reading import open_store
from instrument.rows.stored import QueryRow, encode_lines

pytestmark = pytest.mark.filterwarnings("default::DeprecationWarning")

LIMIT = 60.0


def asked(directory: Path) -> Asked:
    return Asked(directory, lambda: period(hours=1, time_zone="UTC"), Config(directory=str(directory)))


def watched(directory: Path, view: View | None = None) -> Watch:
    return Watch(asked(directory), view or View(), Limits(5000, 30000), UTC)


def drive(
    app: Watch, steps: Callable[[Pilot[None]], Awaitable[None]], *, size: tuple[int, int] = (110, 40), figures: int = 1
) -> None:
    """Run the application, with figures once they are there, and let `steps` press keys and look."""

    async def run() -> None:
        async with app.run_test(size=size) as pilot:
            if figures:
                await until(pilot, lambda: app.figures is not None and app.figures.overview is not None)
            await steps(pilot)

    asyncio.run(asyncio.wait_for(run(), 4 * LIMIT))


async def until(pilot: Pilot[None], condition: Callable[[], object]) -> None:
    end = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < end, f"did not come true in {LIMIT:g} seconds: {screen(pilot.app)}"
        await pilot.pause(0.05)


def screen(app: object) -> str:
    """What the screen shows, as text."""
    shown = app.screen._compositor.render_strips()  # type: ignore[attr-defined]
    return "\n".join(strip.text.rstrip() for strip in shown)


def listed(app: Watch) -> list[str]:
    return [row.user_input for row in app.base.query_one(QueryList).rows]


def add(store: Path, *rows: QueryRow, name: str = "000000-5000-aabbccdd.jsonl") -> None:
    """Append to a segment, as a process that records does."""
    [folder, *_] = [each for each in store.iterdir() if each.name[0] != "."]
    with open(folder / name, "ab") as segment:
        segment.write(bytes(encode_lines(list(rows))))


def test_figures_chart_and_list_are_those_of_the_store(store: Path) -> None:
    app = watched(store)

    async def look(pilot: Pilot[None]) -> None:
        with open_store(store, hours=1) as opened:
            report = opened.report()
        await until(pilot, lambda: "succeeded" in screen(app))
        text = screen(app)
        assert f"{report.queries.total:g}" in text.split("queries")[0]
        assert "91.7 %" in text
        assert len(listed(app)) == report.queries.total == 12
        assert "TimeoutError" in text
        assert "▀" in text
        assert "p50 p95" in text
        assert "● live" in text

    drive(app, look)


def test_a_new_query_appears_and_counts(store: Path) -> None:
    app = watched(store)

    async def look(pilot: Pilot[None]) -> None:
        add(store, query(0, 900, user_input="hot off the press"))
        await until(pilot, lambda: listed(app)[0] == "hot off the press")
        await until(pilot, lambda: app.figures.overview.figures[0].value == 13)  # type: ignore[union-attr]
        assert "hot off the press" in screen(app)

    drive(app, look)


def test_the_cursor_and_what_is_in_sight_stay_while_queries_come(tmp_path: Path) -> None:
    store = tmp_path / "monitoring"
    write(store, [query(10 + number / 10, 100 + number, user_input=f"old {number}") for number in range(100)])
    app = watched(store)

    async def look(pilot: Pilot[None]) -> None:
        queries = app.base.query_one(QueryList)
        await pilot.press(*["j"] * 30)
        await pilot.pause()
        chosen, seen = queries.rows[queries.cursor].user_input, queries.rows[round(queries.scroll_y)].user_input
        assert chosen == "old 30"
        assert seen != "old 0"
        add(store, *(query(0, 900 + number, user_input=f"new {number}") for number in range(7)))
        await until(pilot, lambda: len(queries.rows) == 107)
        await pilot.pause(0.1)
        assert queries.rows[queries.cursor].user_input == chosen
        assert queries.rows[round(queries.scroll_y)].user_input == seen
        await pilot.press("home")
        add(store, query(-0.01, 990, user_input="newest"))
        await until(pilot, lambda: queries.rows[0].user_input == "newest")
        assert queries.cursor == 0

    drive(app, look)


def test_failed_only_lists_failed_queries_and_leaves_the_figures(store: Path) -> None:
    app = watched(store)

    async def look(pilot: Pilot[None]) -> None:
        await pilot.press("f")
        await until(pilot, lambda: len(listed(app)) == 1)
        add(store, query(0, 900, user_input="fine"), failed_query(0, 901))
        await until(pilot, lambda: len(listed(app)) == 2)
        assert app.figures.overview.figures[0].value >= 12  # type: ignore[union-attr]
        assert "failed only" in screen(app)
        await pilot.press("f")
        await until(pilot, lambda: len(listed(app)) == 14)

    drive(app, look)


def test_a_typed_filter_holds_for_figures_list_and_what_comes(store: Path) -> None:
    app = watched(store)

    async def look(pilot: Pilot[None]) -> None:
        await pilot.press("slash")
        assert app.query_one("#ask", Input).value == ""  # the key that opens the line is not typed into it
        await pilot.press(*"duration")
        await pilot.press("greater_than_sign", *"5s", "enter")
        await until(pilot, lambda: app.figures.overview.figures[0].value == 1)  # type: ignore[union-attr]
        assert len(listed(app)) == 1
        assert "duration>5s" in screen(app)
        add(store, query(0, 900, user_input="short"), query(0, 901, user_input="long", duration=6_000_000_000))
        await until(pilot, lambda: listed(app)[0] == "long")
        assert "short" not in listed(app)
        await pilot.press("slash")
        assert app.query_one("#ask", Input).value == "duration>5s"
        app.query_one("#ask", Input).value = "duration~5"
        await pilot.press("enter")
        await until(pilot, lambda: "duration is a number" in screen(app))
        await pilot.press("escape")
        assert "duration is a number" not in screen(app)
        assert [str(each) for each in app.view.filters] == ["duration>5s"]

    drive(app, look)


@pytest.mark.parametrize(
    ("text", "filters"),
    [
        ("", []),
        ("  ", []),
        ("agent=crewai", ["agent=crewai"]),
        ("agent=crewai duration>5s", ["agent=crewai", "duration>5s"]),
        ("tenant='north west'", ["tenant=north west"]),
        ("input~unpaid bills", ["input~unpaid bills"]),
        ("unpaid bills", ["input~unpaid bills"]),
        ("it's", ["input~it's"]),
    ],
)
def test_what_is_typed_is_filters_or_words_of_the_input(text: str, filters: list[str]) -> None:
    assert [str(each) for each in understood(text)] == filters


def test_a_filter_on_a_name_that_nothing_has_is_said(store: Path) -> None:
    app = watched(store, View(parsed("tennant=north")))

    async def look(pilot: Pilot[None]) -> None:
        await until(pilot, lambda: "no query of this period has" in screen(app))

    drive(app, look, figures=0, size=(160, 40))


def test_pause_holds_everything_and_counts_what_came(store: Path) -> None:
    app = watched(store)

    async def look(pilot: Pilot[None]) -> None:
        await pilot.press("p")
        add(store, query(0, 900, user_input="while paused"))
        await until(pilot, lambda: "paused, 1 new query" in screen(app))
        await until(pilot, lambda: app.held is not None)
        assert len(listed(app)) == 12
        assert app.figures.overview.figures[0].value == 12  # type: ignore[union-attr]
        await pilot.press("p")
        await until(pilot, lambda: listed(app)[0] == "while paused")
        assert app.figures.overview.figures[0].value == 13  # type: ignore[union-attr]

    drive(app, look)


def test_a_query_opens_whole_and_the_next_one_follows_the_filter(store: Path) -> None:
    app = watched(store)

    async def look(pilot: Pilot[None]) -> None:
        await pilot.press("f")
        add(store, failed_query(0.2, 900), query(0.1, 901), failed_query(0, 902))
        await until(pilot, lambda: len(listed(app)) == 3)
        await pilot.press("home", "enter")
        await until(pilot, lambda: isinstance(app.screen, OneQuery) and "payment_history" in screen(app))
        first = app.screen.found.query_id  # type: ignore[attr-defined]
        assert "▆" in screen(app)
        assert "Multiple entities detected" in screen(app)
        add(store, failed_query(0, 903))  # the list goes on beneath, and the keys of the list do nothing here
        await pilot.press("slash", "f", "p")
        await pilot.press("j")
        await until(pilot, lambda: app.screen.found.query_id != first)  # type: ignore[attr-defined]
        second = app.screen.found  # type: ignore[attr-defined]
        assert not second.success
        await pilot.press("k")
        await until(pilot, lambda: app.screen.found.query_id == first)  # type: ignore[attr-defined]
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(app.screen, OneQuery))
        queries = app.query_one(QueryList)
        assert queries.rows[queries.cursor].query_id == first

    drive(app, look)


def test_a_query_that_was_forgotten_meanwhile_is_said(store: Path) -> None:
    app = watched(store)

    async def look(pilot: Pilot[None]) -> None:
        for folder in store.iterdir():
            for segment in folder.glob("*.jsonl"):
                segment.write_bytes(b"")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, OneQuery) and "no query has the id" in screen(app))

    drive(app, look)


def test_a_store_that_does_not_exist_yet_is_waited_for(tmp_path: Path) -> None:
    app, store = watched(tmp_path / "monitoring"), tmp_path / "monitoring"

    async def look(pilot: Pilot[None]) -> None:
        await until(pilot, lambda: "waiting for the first record" in screen(app))
        assert not store.exists()
        write(store, [query(0, 1, user_input="the first")])
        await until(pilot, lambda: listed(app) == ["the first"])
        await until(pilot, lambda: "● live" in screen(app))

    drive(app, look, figures=0)


def test_a_store_that_cannot_be_read_is_said_until_it_can(tmp_path: Path) -> None:
    app, store = watched(tmp_path / "monitoring"), tmp_path / "monitoring"
    store.write_text("no directory")

    async def look(pilot: Pilot[None]) -> None:
        await until(pilot, lambda: app.trouble)
        assert app.trouble[:20] in screen(app)
        store.unlink()
        write(store, [query(0, 1, user_input="the first")])
        await until(pilot, lambda: listed(app) == ["the first"])
        await until(pilot, lambda: "● live" in screen(app))

    drive(app, look, figures=0)


HOSTILE = [
    "\x1b[2J\x1b]0;title\x07\x1b[31mred",
    "\x9b31m\x90q\x9c",
    "innocent\b\b\b\b\b\b\b\bguilty\x7f",
    "\u202egnp.exe\u2066\u200b",
    "one\ntwo\r\nthree\x85four\u2028five",
    "[red]x[/red] [link=http://x.example]y[/link] [/] [@click=app.quit]z[/] :smile: [bold",
    "a\x00b",
    "👩\u200d💻 e\u0301 می\u200cخواهم",
    "wide 漢字 " * 40,
]


def test_hostile_texts_are_neutral_wherever_they_stand(tmp_path: Path) -> None:
    store = tmp_path / "monitoring"
    write(
        store,
        [
            query(place, 100 + place, user_input=text, agent=text, status="error", error=text, message=text)
            for place, text in enumerate(HOSTILE)
        ],
    )
    app = watched(store)

    async def look(pilot: Pilot[None]) -> None:
        await until(pilot, lambda: "[red]x[/red]" in screen(app))
        texts = [screen(app)]
        for _ in HOSTILE:
            await pilot.press("enter")
            await until(pilot, lambda: isinstance(app.screen, OneQuery) and "Process" in screen(app))
            texts.append(screen(app))
            await pilot.press("escape", "j")
        for character in ("\x1b", "\x9b", "\b", "\x07", "\x7f", "\x00", "\u202e", "\u2066", "\u2028"):
            assert all(character not in text for text in texts)
        assert all(len(text.splitlines()) == 40 for text in texts)

    drive(app, look)


@pytest.mark.parametrize("size", [(20, 6), (40, 12), (60, 20), (80, 24), (96, 34), (200, 70)], ids=str)
def test_every_size_of_a_terminal_shows_the_list_and_overflows_nowhere(store: Path, size: tuple[int, int]) -> None:
    app = watched(store)

    async def look(pilot: Pilot[None]) -> None:
        await until(pilot, lambda: "✓" in screen(app))
        lines = app.screen._compositor.render_strips()
        assert len(lines) == size[1]
        assert all(strip.cell_length <= size[0] for strip in lines)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, OneQuery) and "01a" in screen(app))

    drive(app, look, size=size)


def test_without_colours_the_heat_map_is_drawn_in_shades(store: Path) -> None:
    with open_store(store, hours=1) as opened:
        overview = opened.overview(columns=60, rows=10)
    coloured, plain = (chart(overview, 9, DARK, UTC, shades=shades).plain for shades in (False, True))
    assert "▀" in coloured
    assert "▀" not in plain
    assert "█" in plain.split("failed")[1]
    assert len(coloured.splitlines()) == len(plain.splitlines()) == 9


def test_the_list_keeps_the_newest_and_no_more(tmp_path: Path) -> None:
    store = tmp_path / "monitoring"
    write(store, [query(50 - number / 20, 100 + number, user_input=f"{number}") for number in range(MOST + 90)])
    app = watched(store)

    async def look(pilot: Pilot[None]) -> None:
        await pilot.pause()
        assert (len(listed(app)), listed(app)[0]) == (MOST, f"{MOST + 89}")

    drive(app, look)


def test_a_row_fits_its_width_and_keeps_the_error() -> None:
    row = Row.of(next(iter(_records())))
    for width in (20, 40, 64, 100, 150):
        drawn = drawn_row(row, width, Limits(5000, 30000), UTC).cut(width)
        assert drawn.width <= width
    assert "TimeoutError" in drawn_row(row, 110, Limits(5000, 30000), UTC).plain


def _records() -> list[object]:
    from instrument.rows.as_records import query_record

    return [query_record(failed_query())]


def test_without_traffic_figures_are_worked_out_once(store: Path) -> None:
    came: list[Event] = []
    feed = Feed(asked(store), View(), came.append)
    feed.start()
    end = time.monotonic() + LIMIT
    while not came and time.monotonic() < end:
        time.sleep(0.05)
    time.sleep(3)
    assert [type(event) for event in came] == [Figures]
    feed.look(View((Filter("agent", "=", "crewai"),)))
    while len(came) < 2 and time.monotonic() < end:
        time.sleep(0.05)
    feed.stop()
    [_, other] = came
    assert isinstance(other, Figures)
    assert [row.agent for row in other.rows] == ["crewai"]


def test_what_comes_is_delivered_once_and_in_time_order(store: Path) -> None:
    came: list[Event] = []
    feed = Feed(asked(store), View(), came.append)
    feed.start()
    end = time.monotonic() + LIMIT
    while not came and time.monotonic() < end:
        time.sleep(0.05)
    for number in range(5):
        add(store, query(0, 900 + number, user_input=f"new {number}"))
        time.sleep(0.05)
    while sum(len(event.rows) for event in came if isinstance(event, Fresh)) < 5 and time.monotonic() < end:
        time.sleep(0.05)
    feed.stop()
    assert [row.user_input for event in came if isinstance(event, Fresh) for row in event.rows] == [
        f"new {number}" for number in range(5)
    ]
    assert not [event for event in came if isinstance(event, Trouble)]


# -- the command -----------------------------------------------------------------------------------------------------


def lines_of(store: Path, *arguments: str, stdout: int = subprocess.PIPE, **variables: str) -> subprocess.Popen[str]:
    """`metrics watch` with its output in a pipe, once it follows."""
    started = subprocess.Popen(
        command("watch", "--directory", str(store), *arguments),
        env=environment(**variables),
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
    )
    end = time.monotonic() + LIMIT
    while "inotify" not in _descriptors(started.pid) and time.monotonic() < end:
        time.sleep(0.05)
    time.sleep(0.3)
    return started


def _descriptors(pid: int) -> str:
    links = Path(f"/proc/{pid}/fd")
    try:
        return " ".join(os.readlink(each) for each in links.iterdir())
    except OSError:
        return ""


def test_a_pipe_gets_a_line_for_each_query_as_it_comes(store: Path) -> None:
    started = lines_of(store, "--where", "agent!=other")
    assert started.stdout is not None
    try:
        add(store, query(0, 900, user_input="one\x1b[2J\nline"), query(0, 901, agent="other"))
        first = started.stdout.readline()
        assert "one␛[2J line" in first
        assert "simple" in first
        add(store, failed_query(0, 902))
        assert "TimeoutError: the server did not answer" in started.stdout.readline()
        started.send_signal(signal.SIGINT)
        out, err = started.communicate(timeout=LIMIT)
    finally:
        started.kill()
        started.wait()
    assert (out, err, started.returncode) == ("", "", 130)


def test_failed_only_in_a_pipe_leaves_the_others_out(store: Path) -> None:
    started = lines_of(store, "--failed")
    assert started.stdout is not None
    try:
        add(store, query(0, 900, user_input="fine"), failed_query(0, 902))
        assert "TimeoutError" in started.stdout.readline()
    finally:
        started.send_signal(signal.SIGINT)
        started.communicate(timeout=LIMIT)


def test_a_closed_pipe_ends_it_without_a_further_query(store: Path) -> None:
    reading, writing = os.pipe()
    started = lines_of(store, stdout=writing)
    os.close(writing)
    os.close(reading)
    try:
        _, err = started.communicate(timeout=LIMIT)
    finally:
        started.kill()
        started.wait()
    assert (err, started.returncode) == ("", 141)


def test_in_a_terminal_it_draws_and_ends_at_q(store: Path) -> None:
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    started = subprocess.Popen(
        command("watch", "--directory", str(store)),
        env=environment(TERM="xterm-256color"),
        stdin=follower,
        stdout=follower,
        stderr=follower,
        start_new_session=True,
    )
    os.close(follower)
    shown = b""
    end = time.monotonic() + LIMIT * 2
    try:
        while b"succeeded" not in shown and time.monotonic() < end:
            shown += os.read(leader, 65536)
        os.write(leader, b"q")
        while time.monotonic() < end:
            try:
                if not (more := os.read(leader, 65536)):
                    break
            except OSError:
                break
            shown += more
        code = started.wait(LIMIT)
    finally:
        started.kill()
        started.wait()
        os.close(leader)
    assert b"succeeded" in shown
    assert code == 0


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("instrument_cli.commands.watch._is_terminal", lambda: True)


def test_a_missing_extra_is_one_clear_line(
    metrics: Callable[..., Answer], store: Path, terminal: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "textual"]:
        monkeypatch.delitem(sys.modules, name)
    for name in [name for name in sys.modules if name.startswith("instrument_cli.watch")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "textual", None)
    answer = metrics("watch")
    assert (answer.code, answer.out) == (2, "")
    assert answer.err == "metrics: metrics watch needs textual: pip install 'agent-instrument[watch]'\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--where", "duration~5"], "is a number"),
        (["--where", "nothing"], "is no filter"),
        (["--hours", "0"], "is no period"),
        (["--from", "s3://bucket/agents"], "cannot be followed"),
    ],
)
def test_wrong_usage_is_one_clear_line(metrics: Callable[..., Answer], arguments: list[str], message: str) -> None:
    answer = metrics("watch", *arguments)
    assert (answer.code, answer.out) == (2, "")
    assert message in answer.err
    assert answer.err.count("\n") == 1
