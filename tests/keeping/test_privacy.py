"""What is kept of texts: nothing that the settings forbid, in the store or in the log."""

from __future__ import annotations

import logging
import re
import time
import tomllib
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from secrets_corpus import CORPUS

from instrument import configure, flush, query_span, record_selection, tool_span, track_query
from instrument.records import QueryRecord
from instrument.redaction.patterns import passes_luhn
from instrument.redaction.rules import MASK, compiled, hashed
from instrument.testing import capture

TELECOM = Path(__file__).parents[2] / "../shared/data/telecom"

RATES = {"email": (0.97, 0.0), "phone": (0.97, 0.0), "card": (0.99, 0.05), "token": (0.98, 0.0)}
"""Of every rule, the share of secrets that it takes whole at least, and the share of innocent texts it touches at most.

These are the README's figures, over the labelled texts in secrets_corpus.py.
"""


def parted(labelled: str) -> tuple[str, str, int]:
    """A labelled text as it was, as it should be kept, and how many secrets there are in it."""
    kept, count = re.subn("⟦[^⟧]*⟧", MASK, labelled)
    return re.sub("[⟦⟧]", "", labelled), kept, count


def whole(*rules: str) -> Callable[[str], str]:
    redact = compiled(rules)
    return lambda text: redact(text, len(text))


def query_of(number: int = 1764000000123, **settings: object) -> QueryRecord:
    """One query with a secret wherever a text may be."""
    configure(**settings)
    with capture() as captured:
        record_selection("a", reason="asked by ana@example.com")
        try:
            with query_span("mail ana@example.com", agent="a", who="ana@example.com", number=number) as query:
                query.add_entities("ana@example.com")
                raise ValueError("no such customer: mail ana@example.com")
        except ValueError:
            pass
    return captured.queries[0]


@pytest.mark.parametrize("name", CORPUS)
def test_rules_take_whole_what_they_are_for_and_leave_alone_what_only_looks_like_it(name: str) -> None:
    redact = whole(name)
    true, false = CORPUS[name]
    secrets = sum(parted(text)[2] for text in true)
    missed = [text for text in true if redact(parted(text)[0]) != parted(text)[1]]
    wrong = [text for text in false if redact(text) != text]
    found, touched = 1 - len(missed) / secrets, len(wrong) / len(false)
    print(f"{name}: {found:.3f} of {secrets} secrets taken, {touched:.3f} of {len(false)} innocent texts touched")
    assert secrets > 100 < len(false)
    assert (found >= RATES[name][0], touched <= RATES[name][1]) == (True, True), (missed, wrong)


@pytest.mark.skipif(not TELECOM.is_dir(), reason="the shared data is not here")
def test_in_a_telecoms_own_records_phones_and_addresses_go_and_everything_else_stays() -> None:
    redact = whole(*CORPUS)
    personal = ("phone_number", "email")
    seen: Counter[str] = Counter()

    def look_at(value: object, key: str = "") -> None:
        if isinstance(value, dict):
            for name, inner in value.items():
                look_at(inner, name)
        elif isinstance(value, list):
            for inner in value:
                look_at(inner, key)
        elif isinstance(value, str):
            expected = MASK if key in personal else re.sub(r"555-123-\d{4}", MASK, value)
            assert redact(value) == expected, (key, value)
            seen[key if key in personal else "other"] += 1

    look_at(tomllib.loads((TELECOM / "db.toml").read_text()))
    assert min(seen[name] for name in (*personal, "other")) > 3
    lines = (TELECOM / "Telco-Customer-Churn.csv").read_text().splitlines()[:1500]
    assert [line for line in lines if redact(line) != line] == []
    spoken = (TELECOM / "tasks_small.json").read_text()
    assert "555-123-" in spoken
    assert re.sub(r"555-123-\d{4}", MASK, spoken) == redact(spoken)


def test_rules_together_leave_nothing_of_any_secret() -> None:
    redact = whole(*CORPUS)
    for name, (true, _) in CORPUS.items():
        for labelled in true:
            text, kept, _ = parted(labelled)
            if whole(name)(text) == kept:
                for secret in re.findall("⟦([^⟧]*)⟧", labelled):
                    assert secret not in redact(text)


def test_of_a_regular_expression_with_a_group_named_secret_that_group_alone_is_blacked_out() -> None:
    assert whole(r"customer (?P<secret>C\d+)")("customer C1001, plan P1") == f"customer {MASK}, plan P1"
    assert whole(r"C\d+")("customer C1001") == f"customer {MASK}"
    assert whole(r"x*")("axb") == f"a{MASK}b"


@pytest.mark.parametrize("name", CORPUS)
def test_every_rule_takes_time_in_proportion_to_the_text_at_most(name: str) -> None:
    redact = whole(name)
    pieces = (
        *(
            "a",
            "1",
            "1 ",
            "+1",
            "+1 ",
            "a@",
            "a.",
            "@",
            "'",
            '"',
            "eyJ",
            "eyJa.",
            "sk-",
            "sk-a",
            "(1)",
            "(",
            "0 1",
            "01",
        ),
        *(
            "-----BEGIN PRIVATE KEY-----",
            "pwd=",
            "pin is ",
            "://",
            "://a:",
            "a [at] ",
            "call ",
            "call 1",
            "4 ",
            "4111 ",
        ),
        *("0171 ", "98765 ", "é", "\u0902", "bearer ", "AA", ":AA", "MMMM.", "?sig=", " at ", "a@a.", "[at", "[dot]"),
    )
    for piece in pieces:
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
    assert query.attributes == {"who": MASK, "number": 1764000000123}
    assert query.selection is not None
    assert query.selection.selection_reason == f"asked by {MASK}"
    assert query.entities_detected == [MASK]
    assert query_of(redact=[r"\d{10,}"]).attributes["number"] == MASK
    assert query_of(redact=["phone"], number=919876543210).attributes["number"] == MASK


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
