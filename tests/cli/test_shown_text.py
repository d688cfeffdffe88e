from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from instrument_cli.rendering.text import harmless_json, plain, shortened
from rich.cells import cell_len


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("unpaid bills", "unpaid bills"),
        ("two\nlines\r\nand a\ttab", "two lines and a tab"),
        ("\x1b[2J\x1b]0;title\x07", "␛[2J␛]0;title␇"),
        ("\x9b31m", "\\x9b31m"),
        ("\x7f\x00", "\\x7f␀"),
        ("abc\u202edef\u2066", "abc\\u202edef\\u2066"),
        ("zero\u200bwidth\ufeff", "zero\\u200bwidth\\ufeff"),
        ("\ud800", "\ufffd"),
        ("[red]markup[/red] :smile:", "[red]markup[/red] :smile:"),
        ("می\u200cخواهم 👩\u200d💻", "می\u200cخواهم 👩\u200d💻"),
    ],
)
def test_what_a_terminal_would_obey_is_shown_instead(text: str, shown: str) -> None:
    assert plain(text) == shown


@given(st.text())
def test_a_shown_text_is_one_line_that_every_terminal_can_encode(text: str) -> None:
    shown = plain(text)
    shown.encode()
    assert len(shown.splitlines()) <= 1
    assert "\x1b" not in shown


@given(st.text(), st.integers(min_value=1, max_value=40))
def test_a_shortened_text_keeps_to_its_width(text: str, width: int) -> None:
    assert cell_len(shortened(plain(text), width)) <= width


@given(st.text(st.characters(exclude_categories=("Cs",))))
def test_harmless_json_reads_back_as_the_same_text_and_holds_no_control(text: str) -> None:
    encoded = harmless_json(json.dumps(text, ensure_ascii=False).encode())
    assert json.loads(encoded) == text
    assert not {character for character in encoded.decode() if "\x7f" <= character <= "\x9f" or character == "\u202e"}
