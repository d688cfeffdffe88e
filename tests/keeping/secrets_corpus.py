"""Texts with and without secrets, labelled: ⟦…⟧ stands around what must not be kept. All of it invented.

Half is written by hand, as people, forms, logs and a telecom's systems would; half is made up, always the same, from
formats in use. The hard ones are in it, too: rates are stated over all of them.
"""

from __future__ import annotations

import random
import string
import uuid
from collections.abc import Callable

_chance = random.Random(11)


def _digits(count: int, first: str = "0123456789") -> str:
    return _chance.choice(first) + "".join(_chance.choices(string.digits, k=count - 1))


def _letters(count: int, alphabet: str = string.ascii_letters + string.digits) -> str:
    return "".join(_chance.choices(alphabet, k=count))


def _filled(pattern: str) -> str:
    """A pattern with a digit for each `#`, one above 1 for each `@`."""
    return "".join(_digits(1) if sign == "#" else _digits(1, "23456789") if sign == "@" else sign for sign in pattern)


def _many(count: int, make: Callable[[], str]) -> list[str]:
    return [make() for _ in range(count)]


# -- e-mail addresses ------------------------------------------------------------------------------------------------

_FIRST = ("asha", "vikram", "maria.lopez", "jo", "o'neil", "li.wei", "søren", "anna-lena", "k.p.s", "x_1", "support+7")
_HOSTS = ("example.com", "mail.example.co.uk", "example.in", "telco.example", "sub-1.example.org", "bücher.example")
_AROUND = ("{}", "write to {}", "customer {} complains", '{{"email": "{}"}}', "<{}>", "mailto:{}", "to={}&cc=", "({})")

EMAIL_TRUE = [
    "⟦ana@example.com⟧",
    "⟦a.b+c@mail.example.co.uk⟧",
    "Write to <⟦José@exämple.de⟧>, please",
    "mailto:⟦x_y%z@sub-domain.example.org⟧",
    "⟦ana@example.com⟧.",
    "⟦ana@example.com⟧, ⟦bob@example.com⟧; ⟦eve@example.net⟧",
    "Is it ⟦ana@example.com⟧? Or ⟦ana@example.org⟧!",
    "E-Mail:⟦ana@example.com⟧",
    "'⟦ana@example.com⟧'",
    "[⟦ana@example.com⟧]",
    "From: Ana <⟦ana.maria@example.com⟧>\nTo: ⟦bob@example.com⟧",
    "name=Ana;mail=⟦ana@example.com⟧;age=5",
    "customer not found: ⟦ASHA.RAO@EXAMPLE.COM⟧",
    "⟦ana@example.museum⟧ and ⟦ana@example.technology⟧",
    "⟦o'brien@example.ie⟧ has moved",
    "⟦ana@xn--bcher-kva.example⟧",
    "https://example.com/unsubscribe?u=⟦ana@example.com⟧",
    "sip:⟦ana@voice.example.com⟧",
    "⟦ana [at] example.com⟧",
    "⟦ana (at) example (dot) com⟧",
    "⟦ana@1and1.example.com⟧",
    "⟦12345@example.com⟧ is what I use",
    "⟦ana@example.com⟧\x00⟦bob@example.com⟧",
    "⟦अनिता@example.com⟧",
    "⟦ana@example.com⟧ – as always",
    "⟦ana at example dot com⟧",  # beyond us: words
    "⟦ana@localhost⟧ on this machine",  # beyond us: no domain
    '⟦"ana rao"@example.com⟧',
    *_many(
        90,
        lambda: _chance.choice(_AROUND).format(f"⟦{_chance.choice(_FIRST)}{_digits(2)}@{_chance.choice(_HOSTS)}⟧"),
    ),
]

EMAIL_FALSE = [
    "@home",
    "5 @ 3 each",
    "a@b",
    "git@",
    "@app.route('/x')",
    "@track_query(agent='simple')",
    "lodash@4.17.21 and react@18.2.0",
    "npm i @scope/package@1.0.3",
    "logo@2x.png, icon@3x.webp",
    "git@github.com:org/repo.git",
    "ssh root@10.0.0.12",
    "meet me @ the office at 5.30",
    "look at example.com",
    "the shop (at example) is closed",
    "price@10.50",
    "name at example dot org is how one writes it",
    "@customer.name",
    "foo@bar",
    "user@host:~$ ls",
    "SELECT @@version.x",
    "x @example.com",
    "ana@ example.com",
    "a = b @ c.T",
    "docker pull app@sha256:9f86d081884c7d65",
    "twitter.com/@ana",
    "@media screen and (max-width: 5px)",
    "{{user@}}",
    "r@nd0m w0rds",
    "C@t v. D@g",
    "12@12",
    "alice@@example",
    "python@3.11.7",
    "#@!%&.com",
    "postgresql+psycopg://db@/name",
    "at.example.com",
    *_many(30, lambda: f"{_letters(6).lower()}@{_digits(1)}.{_digits(2)}.{_digits(1)}"),
    *_many(25, lambda: f"@{_letters(5).lower()}.{_letters(4).lower()}({_digits(3)})"),
    *_many(20, lambda: f"{_digits(2)} @ {_digits(3)}.{_digits(2)} each, order {_digits(6)}"),
]

# -- phone numbers ---------------------------------------------------------------------------------------------------

_PHONES = (
    "+91 @#### #####", "+9198########", "+91-9@###-#####", "0@# ####-####", "9@### #####", "98########", "9198########",
    "+1 (@##) @##-####", "(@##) @##-####", "@##-@##-####", "@##.@##.####", "1-@##-@##-####", "+1@##@######",
    "+44 20 7### ####", "020 7### ####", "07### ######", "+44 (0)7### ######", "0044 7### ######", "4477########",
    "+49 30 @#####", "030/@######", "0171 @######", "+49-171-@######", "+33 6 ## ## ## ##", "06 ## ## ## ##",
    "+86 138 #### ####", "138 #### ####", "+81-3-####-####", "090-####-####", "+55 11 9####-####", "+61 4## ### ###",
    "04## ### ###", "+34 6## ### ###", "+39 347 ### ####", "+971 50 ### ####", "1800 ### ####", "+65 8### ####",
)  # fmt: skip
_CALLS = (
    "{}",
    "call {} now",
    "my number is {}",
    "phone: {}",
    "Tel. {}",
    "customer {} cannot call",
    '"{}"',
    "{}, please",
)

PHONE_TRUE = [
    "⟦+91 98765 43210⟧",
    "⟦+919876543210⟧",
    "⟦+1 (415) 555-0132⟧",
    "⟦+1-415-555-0132⟧",
    "⟦(415) 555-0132⟧",
    "⟦415-555-0132⟧",
    "⟦415.555.0132⟧",
    "⟦+44 20 7946 0958⟧",
    "⟦0044 20 7946 0958⟧",
    "⟦020 7946 0958⟧",
    "⟦+49 30 901820⟧",
    "⟦030/901820⟧",
    "⟦06 12 34 56 78⟧",
    "⟦98765 43210⟧",
    "⟦9876543210⟧",
    "call ⟦+33 6 12 34 56 78⟧ now",
    "Tel.: ⟦0171 1234567⟧",
    "tel:⟦+919876543210⟧",
    "Phone:⟦9876543210⟧",
    "WhatsApp:⟦+91 98765 43210⟧",
    "https://wa.me/⟦919876543210⟧",
    "msisdn=⟦919876543210⟧",
    "MSISDN ⟦447700900123⟧ is barred",
    '{"phone_number": "⟦555-123-2002⟧"}',
    "You are John Smith with phone number ⟦555-123-2002⟧.",
    "my line ⟦555-123-2001⟧ has no data since 2026-11-20",
    "(⟦+91 98765 43210⟧)",
    "⟦+91‑98765‑43210⟧",
    "⟦+91\u00a098765\u00a043210⟧",
    "⟦+49 – 30 – 901820⟧",
    "⟦(+91) 98765 43210⟧",
    "⟦+44 (0)20 7946 0958⟧",
    "⟦98765-43210⟧ or ⟦98765-43211⟧",
    "toll free ⟦1800 123 4567⟧",
    "⟦1-800-555-0199⟧",
    "call me at ⟦4155550132⟧",
    "mobile ⟦7700900123⟧",
    "tel ⟦555-0132⟧",
    "customer_phone = ⟦4155550132⟧",
    "on ⟦+91 98765 43210⟧ from 01.02.2026 on",
    "⟦+91 98765 43210⟧: no answer; ⟦+91 98765 43211⟧: busy",
    "⟦+९१ ९८७६५ ४३२१०⟧",
    "fax ⟦030 901820⟧",
    "port ⟦9876543210⟧ to another plan",
    "SIM of ⟦9876543210⟧ blocked",
    "recharge ⟦98765 43210⟧ with 299",
    "⟦4155550132⟧ is me",  # beyond us: ten digits that may be anything
    "nine ⟦eight seven six five four three two one zero⟧",  # beyond us: words
    "⟦612 345 678⟧ in Madrid",  # beyond us: three times three digits
    *_many(110, lambda: _chance.choice(_CALLS).format(f"⟦{_filled(_chance.choice(_PHONES))}⟧")),
]

PHONE_FALSE = [
    "2026-11-22",
    "2026-11-22T15:05:00Z",
    "2026-11-22 15:05:00.123456",
    "01.02.2026",
    "01/02/2026 10:30",
    "on 05-11-2026 1500 calls",
    "15:05:00",
    "10.0.0.12",
    "127.0.0.1:8080",
    "192.168.100.200",
    "unpaid bills of 2025 and 2026",
    "1,234,567",
    "1.234.567,89",
    "customer 1234567",
    "order 20261122",
    "total 1234.56",
    "version 3.11.7",
    "0.123456789",
    "550e8400-e29b-41d4-a716-446655440000",
    "1764000000",
    "1764000000123",
    "id-9876543210",
    "12 34",
    "plan 500 1000 2000",
    "007",
    "0042 units",
    "order 000123456",
    "invoice 0000012345",
    "IMEI 356938035643809",
    "IMEI 49-015420-323751-8",
    "ICCID 8991101200003204510",
    "IMSI 404685505601234",
    "4111 1111 1111 1111",
    "data used 5368709120 bytes",
    "40.712776, -74.005974",
    "100 200 300 400",
    "12 monkeys, 28 days, 127 hours",
    "7590-VHVEG",
    "C1001, L1001, B1001, P1001",
    "calls: 1234567 this month",
    "phone bill 1234567",
    "iPhone 15 Pro 256",
    "text 100 customers",
    "ticket number 12345678",
    "account number 00123456",
    "https://example.com/item/9876543210",
    "sha 9876543210abcdef",
    "0x9876543210",
    "call 3 tools in 1500 ms",
    "rows 1000000 - 2000000",
    "29.85 29.85 1889.5 56.95",
    "2.718281828459045",
    "1e10 + 5e9",
    "Rs 2,99,999 a year",
    "10/10/10",
    "99.99 % of 86400 s",
    "v1.2.3-20261122",
    "zip 94105-1234",
    "80-90 % of 1024 x 768",
    "08:00-17:30",
    *_many(20, lambda: f"{_digits(4, '12')}-0{_digits(1, '123456789')}-1{_digits(1)} {_digits(2, '01')}:30"),
    *_many(20, lambda: f"order {_digits(8, '123456789')} of customer C{_digits(4)}"),
    *_many(10, lambda: f"trace {uuid.UUID(int=_chance.getrandbits(128))}"),
    *_many(10, lambda: f"{_digits(3, '12')}.{_digits(2, '12')}.{_digits(2, '123')}.17 took {_digits(4, '123')} ms"),
    *_many(10, lambda: f"amount {_digits(5, '123456789')}.{_digits(2)} at 17640{_digits(5)}"),
]  # fmt: skip

# -- card numbers ----------------------------------------------------------------------------------------------------


def _with_check_digit(number: str) -> str:
    total = sum(
        digit if place % 2 else digit * 2 - 9 * (digit > 4)
        for place, digit in enumerate(int(sign) for sign in reversed(number))
    )
    return number + str(-total % 10)


def _card(prefix: str, length: int) -> str:
    return _with_check_digit(prefix + "".join(_chance.choices(string.digits, k=length - 1 - len(prefix))))


def _wrong_card(prefix: str, length: int) -> str:
    right = _card(prefix, length)
    return right[:-1] + str((int(right[-1]) + _chance.randrange(1, 10)) % 10)


_ISSUERS = (("4", 16), ("51", 16), ("55", 16), ("2221", 16), ("34", 15), ("37", 15), ("6011", 16), ("3530", 16),
            ("36", 14), ("62", 16), ("6521", 16), ("81", 16), ("5018", 16))  # fmt: skip


def _spaced(number: str) -> str:
    cuts = (4, 10) if len(number) in (14, 15) else (4, 8, 12)
    separator = _chance.choice(("", " ", "-"))
    return separator.join(number[start:end] for start, end in zip((0, *cuts), (*cuts, len(number)), strict=True))


CARD_TRUE = [
    "⟦4111 1111 1111 1111⟧",
    "⟦4111-1111-1111-1111⟧",
    "⟦4111111111111111⟧",
    "⟦378282246310005⟧",
    "⟦3782 822463 10005⟧",
    "⟦5555 5555 5555 4444⟧",
    "card ⟦6011000990139424⟧.",
    "card ⟦4111 1111 1111 1111⟧ 12/27",
    "card ⟦4111 1111 1111 1111⟧ 123",
    "⟦4111111111111111⟧ 12 27 123",
    "visa:⟦4111111111111111⟧",
    "card=⟦4111111111111111⟧&cvv=1",
    '{"card": "⟦5105105105105100⟧"}',
    "⟦4222222222222⟧",
    "⟦30569309025904⟧",
    "⟦3530111333300000⟧",
    "⟦4111.1111.1111.1111⟧",
    "⟦4111\u00a01111\u00a01111\u00a01111⟧",
    "pay with ⟦4012888888881881⟧, not ⟦5105105105105100⟧",
    "⟦41111111 11111111⟧",
    "(⟦4111 1111 1111 1111⟧)",
    "⟦6200000000000005⟧",
    "⟦2223003122003222⟧",
    "⟦4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1⟧",
    "card ending 1111 is ⟦4111 1111 1111 1111⟧",
    "⟦4111/1111/1111/1111⟧",  # beyond us: nobody writes it so
    *_many(100, lambda: _chance.choice(("{}", "card {} please", "no. {}, ", "«{}»")).format(
        f"⟦{_spaced(_card(*_chance.choice(_ISSUERS)))}⟧")),
]  # fmt: skip

CARD_FALSE = [
    "4111 1111 1111 1112",
    "1234567890123456",
    "1764000000000000000000",
    "2026-11-22 15:05:00",
    "0019a1b2c3d4e5f6",
    "1764000000123456789",
    "1764000000123456",
    "IMEI 356938035643809",
    "IMEI 490154203237518",
    "ICCID 8991101200003204510",
    "98765 43210 98765 43210",
    "+91 98765 43210",
    "550e8400-e29b-41d4-a716-446655440000",
    "3.14159265358979323846",
    "1000 2000 3000 4000",
    "0000 0000 0000 0000",
    "1111 1111 1111 1111",
    "id-4111111111111111",
    "a4111111111111111",
    "0.4111111111111111",
    "9999999999999999",
    *_many(40, lambda: _wrong_card(*_chance.choice(_ISSUERS))),
    *_many(20, lambda: f"order {_digits(16)}"),
    *_many(15, lambda: f"IMEI {_card('35', 15)}"),
    *_many(15, lambda: f"ICCID {_card('8991', 19)}"),
    *_many(15, lambda: f"at 1764{_digits(12)} or 1764{_digits(15)}"),
]

# -- tokens and keys -------------------------------------------------------------------------------------------------

_HEX = "0123456789abcdef"
_KEYS: tuple[Callable[[], str], ...] = (
    lambda: f"sk-{_letters(40)}",
    lambda: f"sk-proj-{_letters(44)}",
    lambda: f"sk_live_{_letters(24)}",
    lambda: f"ghp_{_letters(36)}",
    lambda: f"glpat-{_letters(20)}",
    lambda: f"xoxb-{_digits(11)}-{_letters(24)}",
    lambda: f"AKIA{_letters(16, string.ascii_uppercase + string.digits)}",
    lambda: f"AIza{_letters(35)}",
    lambda: f"ya29.{_letters(60)}",
    lambda: f"hf_{_letters(34)}",
    lambda: f"npm_{_letters(36)}",
    lambda: f"SG.{_letters(22)}.{_letters(43)}",
    lambda: f"whsec_{_letters(32)}",
    lambda: f"gsk_{_letters(52)}",
    lambda: f"dop_v1_{_letters(64, _HEX)}",
    lambda: f"shpat_{_letters(32, _HEX)}",
    lambda: f"hvs.{_letters(24)}",
    lambda: f"eyJ{_letters(30)}.eyJ{_letters(50)}.{_letters(43)}",
    lambda: f"{_digits(9, '123456789')}:AA{_letters(33)}",
)
_SAID = ("{}", "key {} is wrong", "export KEY={}", "Authorization: token {}", '"{}"', "401 for {}")
_NAMED = ("password={}", "api_key: {}", '"client_secret": "{}"', "pwd={};", "--password={}", "DB_PASSWORD='{}'",
          "X-Api-Key: {}", "my password is {}", "?access_token={}&x=1", "Authorization: Bearer {}")  # fmt: skip

TOKEN_TRUE = [
    "⟦sk-abcdefghijklmnopqrst⟧",
    "⟦sk_live_abcdefghijklmnop⟧",
    "⟦github_pat_abcdefghijklmnopqrstuv⟧",
    "⟦AKIAIOSFODNN7EXAMPLE⟧",
    "⟦eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl⟧",
    "Authorization: Bearer ⟦abcdef1234567890⟧",
    "Authorization: Basic ⟦YWRtaW46aHVudGVyMg==⟧",
    "password=⟦hunter2hunter2⟧",
    "password: ⟦correct-horse-battery⟧",
    "api_key: '⟦abcd1234efgh⟧'",
    '{"access_token": "⟦abc123def456⟧"}',
    "https://x.org/?api_key=⟦abcdef1234⟧",
    "⟦-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----⟧",
    "⟦-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBg⟧",
    "postgres://app:⟦s3cr3t!⟧@db.example.com/app",
    "https://ana:⟦hunter22⟧@example.com/",
    "AccountKey=⟦abcdEFGH1234+/==⟧;EndpointSuffix=x",
    "aws_secret_access_key = ⟦wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY⟧",
    "my password is ⟦hunter22⟧",
    "the PIN is ⟦4711⟧",
    "OTP is ⟦493021⟧",
    "passwd: ⟦Pa$$w0rd⟧",
    "password => '⟦two words 9⟧'",
    "secret: ⟦abcd-1234⟧",
    "https://hooks.slack.com/services/⟦T00000000/B00000000/XXXXXXXXXXXXXXXX⟧",
    "?sv=2024&sig=⟦abcdEFGH1234abcdEFGH1234%3D⟧",
    "-H 'x-api-key: ⟦0a1b2c3d4e⟧'",
    "token=⟦f00ba4f00ba4⟧",
    "DATABASE_URL=mysql://root:⟦toor⟧@localhost/x",
    "my password is ⟦sunshine⟧",  # beyond us: it could be a word
    "⟦a3f5c2e19b7d4086⟧ is my key",  # beyond us: a hash looks the same
    *_many(70, lambda: _chance.choice(_SAID).format(f"⟦{_chance.choice(_KEYS)()}⟧")),
    *_many(40, lambda: _chance.choice(_NAMED).format(f"⟦{_letters(7)}{_digits(2)}{_letters(5)}⟧")),
]

TOKEN_FALSE = [
    "task-list-of-the-customers-in-india",
    "the token ring",
    "desk-lamp and risk-assessment-of-the-project",
    "bearer of bad news",
    "password reset for a customer",
    "skeleton",
    "no secrets here",
    "eyJ",
    "my password is wrong",
    "the password is required.",
    "password is not accepted",
    "forgot password?",
    "tokens: 812 in, 96 out",
    "input_tokens=812 output_tokens=96",
    "max_tokens: 4096",
    "api_key=None",
    "password=<password>",
    "password=${DB_PASSWORD}",
    "token: null",
    "password: ********",
    "secret = {{ vault.secret }}",
    "Bearer token required",
    "a bearer authentication scheme",
    "basic authentication is off",
    "basic understanding of networks",
    "550e8400-e29b-41d4-a716-446655440000",
    "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "commit 39536e5f1fda1d8df9c506f4c3a1b2c3d4e5f607",
    "http://localhost:8080/x",
    "https://example.com:443/a@b",
    "ratio 3:4, time 10:30",
    "the PIN is wrong",
    "the secret is out",
    "keyboard, monkey, turkey",
    "api key missing",
    "access token expired",
    "npm_config_cache",
    "hf_hub",
    "sk-1",
    "SG.example",
    "AIzawa is a name",
    "passwordless sign-in",
    "monkey=banana",
    "PUBLIC KEY-----",
    "-----BEGIN CERTIFICATE-----",
    "tokenize: true",
    "the secret of success: work",
    "pk-block-of-the-primary",  # a little like a key
    *_many(25, lambda: f"request {uuid.UUID(int=_chance.getrandbits(128))} took {_digits(3)} ms"),
    *_many(20, lambda: f"sha256:{_letters(64, _HEX)}"),
    *_many(15, lambda: f"{_letters(8).lower()}_{_letters(9).lower()}={_digits(5)}"),
]

CORPUS = {
    "email": (EMAIL_TRUE, EMAIL_FALSE),
    "phone": (PHONE_TRUE, PHONE_FALSE),
    "card": (CARD_TRUE, CARD_FALSE),
    "token": (TOKEN_TRUE, TOKEN_FALSE),
}
"""Of every rule, the texts with a secret and those without."""
