"""What is kept of texts: nothing that the settings forbid, in the store or in the log."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from instrument import configure, flush, query_span, record_selection, tool_span, track_query
from instrument.records import QueryRecord
from instrument.redaction import MASK, compiled, hashed, passes_luhn
from instrument.testing import capture

TRUE = {
    "email": [
        "ana@example.com",
        "a.b+c@mail.example.co.uk",
        "Write to <José@exämple.de>, please",
        "mailto:x_y%z@sub-domain.example.org",
        "ana@example.com.",
    ],
    "phone": [
        "+91 98765 43210",
        "+919876543210",
        "+1 (415) 555-0132",
        "+1-415-555-0132",
        "(415) 555-0132",
        "415-555-0132",
        "415.555.0132",
        "+44 20 7946 0958",
        "0044 20 7946 0958",
        "020 7946 0958",
        "+49 30 901820",
        "030/901820",
        "06 12 34 56 78",
        "98765 43210",
        "9876543210",
        "call +33 6 12 34 56 78 now",
        "Tel.: 0171 1234567",
    ],
    "card": [
        "4111 1111 1111 1111",
        "4111-1111-1111-1111",
        "4111111111111111",
        "378282246310005",
        "5555 5555 5555 4444",
        "card 6011000990139424.",
    ],
    "token": [
        "sk-abcdefghijklmnopqrst",
        "sk-proj-abcdefghijklmnopqrstuvwxyz012345",
        "sk_live_abcdefghijklmnop",
        "ghp_abcdefghijklmnopqrstuvwxyz0123456789",
        "github_pat_abcdefghijklmnopqrstuv",
        "glpat-abcdefghijklmnopqrst",
        "xoxb-1234567890-abcdef",
        "AKIAIOSFODNN7EXAMPLE",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
        "Authorization: Bearer abcdef1234567890",
        "password=hunter2hunter2",
        "api_key: 'abcd1234efgh'",
        '{"access_token": "abc123def456"}',
        "https://x.org/?api_key=abcdef1234",
        "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----",
    ],
}
FALSE = {
    "email": ["@home", "5 @ 3 each", "user@localhost", "a@b", "git@", "name at example dot com", "@app.route"],
    "phone": [
        "2026-11-22",
        "2026-11-22T15:05:00Z",
        "15:05:00",
        "10.0.0.12",
        "127.0.0.1:8080",
        "unpaid bills of 2025 and 2026",
        "1,234,567",
        "customer 1234567",
        "order 20261122",
        "total 1234.56",
        "version 3.11.7",
        "0.123456789",
        "550e8400-e29b-41d4-a716-446655440000",
        "1764000000",
        "id-9876543210",
        "12 34",
        "plan 500 1000 2000",
        "007",
    ],
    "card": [
        "4111 1111 1111 1112",
        "1234567890123456",
        "1764000000000000000000",
        "2026-11-22 15:05:00",
        "0019a1b2c3d4e5f6",
    ],
    "token": [
        "task-list-of-the-customers-in-india",
        "the token ring",
        "desk-lamp and risk-assessment-of-the-project",
        "bearer of bad news",
        "password reset for a customer",
        "skeleton",
        "no secrets here",
        "eyJ",
    ],
}


def whole(*rules: str) -> Callable[[str], str]:
    redact = compiled(rules)
    return lambda text: redact(text, len(text))


def query_of(**settings: object) -> QueryRecord:
    """One query with a secret wherever a text may be."""
    configure(**settings)
    with capture() as captured:
        record_selection("a", reason="asked by ana@example.com")
        try:
            with query_span("mail ana@example.com", agent="a", who="ana@example.com", number=919876543210) as query:
                query.add_entities("ana@example.com")
                raise ValueError("no such customer: mail ana@example.com")
        except ValueError:
            pass
    return captured.queries[0]


@pytest.mark.parametrize("name", TRUE)
def test_patterns_find_what_they_are_for_and_leave_alone_what_only_looks_like_it(name: str) -> None:
    redact = whole(name)
    missed = [text for text in TRUE[name] if MASK not in redact(text)]
    wrong = [text for text in FALSE[name] if redact(text) != text]
    print(
        f"{name}: found {len(TRUE[name]) - len(missed)} of {len(TRUE[name])}, wrong {len(wrong)} of {len(FALSE[name])}"
    )
    assert (missed, wrong) == ([], [])


def test_a_pattern_takes_the_whole_secret() -> None:
    redact = whole("email", "card", "token", "phone")
    for secrets in TRUE.values():
        for secret in secrets:
            assert not re.search(r"\d{4}|example|hunter|MIIE|abcdef", redact(secret)), secret


def test_every_pattern_takes_time_in_proportion_to_the_text_at_most() -> None:
    redact = whole(*TRUE)
    bad = ("a", "1", "1 ", "+1", "a@", "a.", "eyJ", "eyJa.", "sk-", "(1)", "0 1", "-----BEGIN PRIVATE KEY-----", "pwd=")
    for piece in bad:
        began = time.process_time()
        redact(piece * (20_000 // len(piece)))
        assert time.process_time() - began < 5, piece


def test_the_check_digit_of_a_card() -> None:
    assert passes_luhn("4111 1111 1111 1111")
    assert not passes_luhn("4111 1111 1111 1121")


def test_patterns_reach_inputs_messages_attributes_reasons_and_entities() -> None:
    query = query_of(redact=["email", "phone"])
    assert query.user_input == f"mail {MASK}"
    assert query.error_message == f"no such customer: mail {MASK}"
    assert query.attributes == {"who": MASK, "number": 919876543210}
    assert query.selection is not None
    assert query.selection.selection_reason == f"asked by {MASK}"
    assert query.entities_detected == [MASK]
    assert query_of(redact=[r"\d{10,}"]).attributes["number"] == MASK


def test_hash_keeps_equal_inputs_recognisable_and_nothing_else() -> None:
    one, same = (query_of(capture_input="hash", hash_key="k") for _ in range(2))
    assert one.user_input == same.user_input == hashed("mail ana@example.com", "k")
    assert one.user_input != hashed("mail ana@example.com", "another key")
    assert one.error_message == f"no such customer: {MASK}"
    assert hashed("x", "") == hashed("x", "")
    assert hashed("x", "a" * 64 + "b") != hashed("x", "a" * 64 + "c")


def test_none_keeps_nothing_of_an_input_nor_of_its_quotation() -> None:
    query = query_of(capture_input="none")
    assert query.user_input == ""
    assert query.error_message == f"no such customer: {MASK}"
    assert query.selection is not None
    assert query.selection.user_input == ""


def test_texts_are_shortened_and_a_secret_across_the_cut_is_not_kept_in_part() -> None:
    configure(max_input_chars=100, redact=["email", "token"])
    with capture() as captured:
        for lead in range(80, 120):
            with query_span("." * lead + " secret.person@example.com" + " x" * 3000, agent="a"):
                pass
            with query_span("." * lead + " eyJ" + "secret" * 1000 + ".c", agent="a"):
                pass
    assert all(80 <= len(query.user_input) <= 100 for query in captured.queries)
    assert not [query.user_input for query in captured.queries if "sec" in query.user_input]


def test_a_function_of_the_users_decides_and_one_that_raises_keeps_nothing(caplog: pytest.LogCaptureFixture) -> None:
    assert query_of(redact=str.upper).user_input == "MAIL ANA@EXAMPLE.COM"

    def broken(text: str) -> str:
        raise SystemExit(f"cannot redact {text}")

    with caplog.at_level(logging.DEBUG):
        query = query_of(redact=broken)
    assert (query.user_input, query.error_message, query.attributes["who"]) == ("", "", "")
    assert "SystemExit" in caplog.text
    assert "example.com" not in caplog.text


@pytest.mark.parametrize("capture_input", ["full", "hash", "none"])
def test_no_secret_is_anywhere_in_the_stores_bytes(tmp_path: Path, capture_input: str) -> None:
    secret = "Xq7secretXq7"
    configure(directory=tmp_path, formats=["json", "csv"], capture_input=capture_input, redact=[rf"{secret}\d*"])

    @track_query(agent="a")
    def ask(text: str) -> str:
        record_selection("b", reason=text)
        with tool_span("look"):
            raise ValueError(text)

    for number in range(50):
        with pytest.raises(ValueError, match="secret"):
            ask(f"my key is {secret}{number}")
        with query_span(f"{secret}", agent="a", note=secret, deep={"k": [secret]}) as query:
            query.fail(secret)
        record_selection("nobody", reason=secret)
    assert flush()
    content = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert content.count(b"\n") > 100
    assert b"Xq7" not in content
