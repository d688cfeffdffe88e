"""What e-mail addresses, phone numbers, card numbers, tokens and keys look like: the rules `redact` knows by name.

Each rule is a cheap question that a text without such a thing fails at once, patterns whose time is in proportion to
the text (what may repeat is bounded, or taken once and for all), and, where a pattern cannot tell, a second look at
what it found. How many true and false examples each gets right is measured in tests/keeping/test_privacy.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

Span = tuple[int, int]
Finder = Callable[[str], Iterator[Span]]

_GAP = "[ ./\u00a0\u2009\u202f\u2010-\u2015-]"

# -- e-mail addresses ------------------------------------------------------------------------------------------------

# Beside letters and digits, the marks that belong to a letter in Indian scripts and Thai: `\w` has none of them.
_MARKS = "\u0300-\u036f\u0900-\u0e7f"
_OF_NAME = rf"[\w.!#$%&'+^~{_MARKS}-]"
_AT = re.compile(r"@|[\[({]\s?at\s?[\])}]", re.I)
_EMAIL = re.compile(
    rf"(?<!{_OF_NAME})(?:'|(?<!\w)\"(?=[^\"\r\n@]{{1,64}}\"@))?(?P<plain>{_OF_NAME}{{1,64}}|(?<=\")[^\"\r\n@]{{1,64}}\")"
    rf"@(?!\dx\.)(?P<host>(?:[\w{_MARKS}][\w{_MARKS}-]{{0,62}}\.){{1,8}}(?:xn--[\w-]{{2,59}}|[^\W\d_]{{2,24}})"
    r"(?![\w@]|-\w)(?!:[\w.~-]+/))"
    rf"|(?<!{_OF_NAME})(?P<spelt>[\w.%+-]{{1,64}}\s?[\[({{]\s?at\s?[\])}}]\s?[\w-]{{1,63}}"
    r"(?:\s?(?:\.|[\[({]\s?dot\s?[\])}])\s?[\w-]{2,63}){1,4})",
    re.I,
)


def emails(text: str) -> Iterator[Span]:
    """Addresses, plain or as in `ana [at] example.com`; not versions, images or remotes, which have an `@`, too."""
    if _AT.search(text):
        for found in _EMAIL.finditer(text):
            yield (found.start("plain"), found.end()) if found["plain"] else found.span("spelt")


# -- phone numbers ---------------------------------------------------------------------------------------------------

_SEVEN_DIGITS = re.compile(r"\d(?:\D{0,4}\d){6}")
_SHORTEST, _LONGEST = 7, 15
_MORE = rf"(?:{_GAP}{{0,3}}+\(?\d{{1,12}}+(?!\w|:\d)\)?)"
_WORDS = (
    r"phone|mobile|cell|telephone|tel|fax|msisdn|whatsapp|sms|handset|landline|helpline|hotline|dial|ring|ph|mob|call"
    r"|contact|reach|wa\.me|callto|telefon|telefono|téléphone|portable|handy"
)
_JOINTS = r"[_ -]?(?:me|us|back|number|no|num|nr)?[_ -]?(?:at|on|is|was|to|under)?[\s.:=#\"'(/-]{1,4}"
_NUMBER = re.compile(
    # +49 30 901820, (+91) 98765 43210, 0044 20 7946 0958
    rf"(?<![\w+])(?:\(\+\d{{1,4}}\)|(?:\+|(?<![.:/-])00)\(?(?!0)\d{{1,15}}+(?!\w)\)?){_MORE}{{0,6}}+"
    # 020 7946 0958, (0171) 1234567, (415) 555-0132
    rf"|(?<![\w.:/+-])(?:\((?:0?\d{{2,5}})\)|0[1-9]\d{{0,12}}+(?!\w)){_MORE}{{0,5}}+"
    # 415-555-0132, 1-800-555-0199
    rf"|(?<![\w.:/+-])(?:1{_GAP})?(?:\([2-9]\d\d\)|[2-9]\d\d){_GAP}\d{{3}}{_GAP}\d{{4}}(?!\w|[.-]\d)"
    rf"|(?<![\w.:/+-])1[38]00{_GAP}\d{{3}}{_GAP}?\d{{3,4}}(?!\w)"
    # 98765 43210, 9876543210, 919876543210, 447700900123
    rf"|(?<![\w.:/+-])[6-9]\d{{4}}{_GAP}\d{{5}}(?!\w|[.-]\d)"
    r"|(?<![\w./+-])(?:91[6-9]\d{9}|447\d{9}|[6-9]\d{9})(?!\w|[.-]\w)"
    # 138 1234 5678, 11 91234-5678
    rf"|(?<![\w.:/+-])1[3-9]\d{_GAP}\d{{4}}{_GAP}\d{{4}}(?!\w)|(?<![\w.:/+-])\d\d 9\d{{4}}-\d{{4}}(?!\w)"
    # after a word that says what it is: phone 555-0132
    rf"|(?<![^\W_])(?:{_WORDS}){_JOINTS}(?P<secret>\(?\d{{1,15}}+(?!\w){_MORE}{{0,5}}+)",
    re.I,
)
_DATE = re.compile(r"\D?(?:(?:19|20)\d\d[./-]\d\d?[./-]\d\d?|\d\d?[./-]\d\d?[./-](?:19|20)?\d\d)(?!\d)")
_GROUP = re.compile(r"\d+\)?")


def phones(text: str) -> Iterator[Span]:
    """Phone numbers as people, forms and a telecom's own systems write them."""
    if _SEVEN_DIGITS.search(text):
        for found in _NUMBER.finditer(text):
            start, end = found.span("secret" if found["secret"] else 0)
            if (stop := _end_of_number(text[start:end])) > 0:
                yield start, start + stop


def _end_of_number(number: str) -> int:
    """How much of a candidate is the number: all groups that fit into fifteen digits; 0 if it is none."""
    if _DATE.match(number):
        return 0
    digits = end = 0
    for group in _GROUP.finditer(number):
        length = len(group[0].rstrip(")"))
        if digits + length > _LONGEST + 2 * number.startswith("00"):
            break
        digits, end = digits + length, group.end()
    if number.count(")", 0, end) > number.count("(", 0, end):
        end -= 1  # it belongs to what stands around the number
    return end if digits >= _fewest(number) else 0


def _fewest(number: str) -> int:
    """The fewest digits of a number that begins like this one: a `0` in front is often mere padding."""
    if number.startswith("00"):
        return 12 if number.isdecimal() else 10
    if number.startswith(("0", "(0")):
        return 10 if number.isdecimal() else 9
    return 8 if number.startswith(("+", "(+")) else _SHORTEST


# -- card numbers ----------------------------------------------------------------------------------------------------

_CARD = re.compile(r"(?<![\w.+-])(?:\d(?:[ \u00a0-]?\d){12,30}+|\d{4}(?:\.\d{4}){3})(?!\w)")
_DIGITS = re.compile(r"\d+")
_ISSUERS = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})"  # Visa
    r"|5[1-5]\d{14}|2(?:22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720)\d{12}"  # Mastercard
    r"|3[47]\d{13}|3(?:0[0-5]|[689]\d)\d{11}"  # American Express, Diners Club
    r"|35(?:2[89]|[3-8]\d)\d{12}|6(?:011|4[4-9]\d|5\d\d)\d{12}|62\d{14,17}"  # JCB, Discover, UnionPay
    r"|(?:60|65|81|82)\d{14}|508\d{13}|(?:50|5[6-9]|6\d)\d{10,17}"  # RuPay, Maestro
)


def cards(text: str) -> Iterator[Span]:
    """Numbers that an issuer of cards may give, of its length and with the right check digit."""
    for found in _CARD.finditer(text):
        groups = [(group.start(), group.end()) for group in _DIGITS.finditer(text, *found.span())]
        yield from _cards_among(text, groups)


def _cards_among(text: str, groups: list[Span]) -> Iterator[Span]:
    """The longest card that each of these groups of digits begins, as a code or a date may stand beside it."""
    free = 0
    for first, (start, _) in enumerate(groups):
        digits, end = "", 0
        for begin, stop in groups[first : first + 19] if start >= free else ():
            digits += text[begin:stop]
            if len(digits) > 19:
                break
            if _ISSUERS.fullmatch(digits) and passes_luhn(digits):
                end = stop
        if end:
            yield start, end
            free = end


def passes_luhn(number: str) -> bool:
    """Whether the digits in a text end in the right check digit (ISO/IEC 7812-1, annex B)."""
    digits = [int(sign) for sign in reversed(number) if sign.isdecimal()]
    doubled = (digit * 2 - 9 * (digit > 4) for digit in digits[1::2])
    return (sum(digits[::2]) + sum(doubled)) % 10 == 0


# -- tokens and keys -------------------------------------------------------------------------------------------------

_ISSUED = re.compile(
    r"(?<![\w-])(?:(?:sk|pk|rk|sess)[-_](?=\w{16}|[a-z_-]*[0-9A-Z])[\w-]{16,}|gh[pousr]_\w{16,}|github_pat_\w{16,}|glpat-[\w-]{16,}|xox[abeprs]-[\w-]{10,}"
    r"|xapp-[\w-]{10,}|A[KS]IA[0-9A-Z]{16}|AIza[\w-]{30,}|ya29\.[\w-]{20,}|GOCSPX-[\w-]{20,}|hf_\w{20,}|npm_\w{20,}"
    r"|pypi-[\w-]{16,}|SG\.[\w-]{16,}\.[\w-]{16,}|whsec_\w{16,}|gsk_\w{20,}|xai-\w{20,}|pplx-\w{20,}|r8_\w{20,}"
    r"|dop_v1_\w{20,}|shp(?:at|ca|pa|ss)_\w{16,}|hvs\.[\w-]{20,}|dapi[0-9a-f]{32}|lin_api_\w{20,}|ntn_\w{20,}"
    r"|lsv2_[\w-]{20,}|(?:AC|SK)[0-9a-f]{32}(?!\w)|\d{8,10}:AA[\w-]{32,}|[MNO][\w-]{23,28}\.[\w-]{6}\.[\w-]{27,}"
    r"|eyJ[\w-]{10,}(?:\.[\w-]*){0,4})"
)
_NAMES = (
    r"api[_ -]?key|access[_-]?key(?:[_-]?id)?|account[_-]?key|private[_-]?key|signing[_-]?key|secret[_-]?access[_-]?key"
    r"|(?:access|auth|refresh|id|session|bearer|csrf|api)[_-]?token|client[_-]?secret|secret(?:[_-]?key)?|token"
    r"|passw(?:or)?d|passphrase|passcode|pwd|credentials?|x-api-key"
)
_NAMED = re.compile(
    rf"(?i:(?<![a-z])(?:{_NAMES})[\"']?(?: ?(?:=>|:=|[:=]) ?))"
    r"(?:[\"'](?P<quoted>[^\"'\r\n]{4,500})|(?P<bare>[^\s\"',;&]{4,}))"
    r"|(?i:(?<![a-z])(?:password|passcode|passphrase|api key|token|pin|otp|secret) (?:is|was) )"
    r"(?P<told>[^\s\"',;&]{4,})"
    r"|[?&]sig=(?P<signature>[\w%+/-]{20,}=?)"
)
_HEADED = re.compile(
    r"(?i:\bbearer|\bbasic) +(?P<header>(?=[a-z]*[^a-z\s])[\w.~+/=-]{12,})"
    r"|(?<=://)[^\s/:@\"'<>]{0,64}:(?P<login>[^\s/@\"'<>]{3,128})(?=@)|hooks\.slack\.com/services/(?P<hook>[\w/]{20,})"
    r"|-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----[\s\S]{0,8000}?(?:-----END [A-Z ]{0,30}PRIVATE KEY-----|\Z)"
)
_KINDS = (
    (_ISSUED, re.compile(r"[\w-]{9}[\w.:-]{7}")),
    (_NAMED, re.compile(r"[:=]|\b(?:is|was) ", re.I)),
    (_HEADED, re.compile(r"://|earer |asic |-----|hooks\.", re.I)),
)
"""The patterns, each with the cheap question."""
_WORD = re.compile(r"[^\W\d_]+[.!?:)]*")
_HARMLESS = re.compile(
    r"[*x•.]{4,}|<[^>]*>?|\$?\{.*|\$\(?\w+\)?|%\w+%|null|none|true|false|undefined|\[redacted\]", re.I
)


def tokens(text: str) -> Iterator[Span]:
    """Keys that their issuer made recognisable, what follows a word such as `password`, the login in a URL."""
    for pattern, hint in _KINDS:
        if hint.search(text):
            yield from _tokens_by(pattern, text)


def _tokens_by(pattern: re.Pattern[str], text: str) -> Iterator[Span]:
    for found in pattern.finditer(text):
        kind = found.lastgroup
        if kind is None:
            yield found.span()
        elif not (_HARMLESS.fullmatch(found[kind]) or (kind == "told" and _WORD.fullmatch(found[kind]))):
            yield found.span(kind)


KNOWN: dict[str, Finder] = {"email": emails, "phone": phones, "card": cards, "token": tokens}
"""The rules by name."""
