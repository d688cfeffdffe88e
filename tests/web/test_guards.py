"""Who may come in, asked over real sockets."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

TOKEN = "a secret, ü"


class Asked:
    """An answer: status, headers, body."""

    def __init__(self, server: Any, path: str = "/healthz", method: str = "GET", **headers: str) -> None:
        place = urlsplit(server.address)
        connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=10)
        written = {name.replace("_", "-"): value.encode() for name, value in headers.items()}
        connection.request(method, path, headers=written)
        answer = connection.getresponse()
        self.status, self.headers, self.body = answer.status, answer.headers, answer.read().decode()
        connection.close()


@pytest.fixture
def server(serve: Callable[..., Any], tmp_path: Path) -> Any:
    return serve(tmp_path / "monitoring", "--allow-host", "metrics.example.com")


@pytest.fixture
def guarded(serve: Callable[..., Any], tmp_path: Path) -> Any:
    return serve(tmp_path / "monitoring", "--token", TOKEN)


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost:1", "", "127.0.0.1:8321@evil"])
def test_a_host_header_that_is_not_ours_gets_no_answer(server: Any, host: str) -> None:
    for path in ("/healthz", "/metrics", "/api/report", "/"):
        assert Asked(server, path, Host=host).status == 421


def test_our_own_names_get_an_answer(server: Any) -> None:
    port = urlsplit(server.address).port
    names = ("localhost", "LOCALHOST", f"127.0.0.1:{port}", f"[::1]:{port}", "metrics.example.com")
    assert [Asked(server, Host=name).status for name in names] == [200] * len(names)


def test_a_request_without_a_host_is_refused(server: Any) -> None:
    place = urlsplit(server.address)
    with socket.create_connection((place.hostname, place.port), timeout=10) as connection:
        connection.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
        assert b" 421 " in connection.makefile("rb").readline()


def test_without_the_token_nothing_is_shown(guarded: Any) -> None:
    for path in ("/healthz", "/metrics", "/api/report", "/", "/nothing"):
        answer = Asked(guarded, path)
        assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")
    for wrong in ("Bearer ", "Bearer a secret", "Basic " + TOKEN, TOKEN, "Bearer \xff\xfe"):
        assert Asked(guarded, authorization=wrong).status == 401
    assert Asked(guarded, "/healthz?token=a+guess").status == 401


def test_the_token_is_shown_as_a_bearer(guarded: Any) -> None:
    assert Asked(guarded, authorization="Bearer " + TOKEN).status == 200
    assert Asked(guarded, authorization="bearer  " + TOKEN).status == 200


def test_a_token_in_the_address_becomes_a_cookie_that_scripts_cannot_read(guarded: Any) -> None:
    answer = Asked(guarded, "/healthz?a=1&token=a+secret,+%C3%BC&b=2")
    assert (answer.status, answer.headers["location"]) == (303, "/healthz?a=1&b=2")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "secret" not in cookie
    assert Asked(guarded, cookie=cookie.partition(";")[0]).status == 200
    assert Asked(guarded, cookie="broken=; =;;" + cookie.partition(";")[0][:-1]).status == 401


def test_a_token_in_the_address_leads_to_no_other_server(guarded: Any) -> None:
    answer = Asked(guarded, "//evil.example/?token=a+secret,+%C3%BC")
    assert not answer.headers.get("location", "/").startswith("//")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"sec_fetch_site": "cross-site"}, 403),
        ({"sec_fetch_site": "same-site"}, 403),
        ({"sec_fetch_site": "same-origin"}, 405),
        ({}, 405),
    ],
)
def test_only_our_own_pages_may_change_something(server: Any, headers: dict[str, str], status: int) -> None:
    assert Asked(server, "/metrics", "POST", **headers).status == status
    own = server.address
    assert Asked(server, "/metrics", "DELETE", origin=own).status == 405


def test_every_answer_has_the_security_headers(server: Any) -> None:
    for path, host in (("/healthz", "localhost"), ("/nothing", "localhost"), ("/metrics", "evil.example")):
        headers = Asked(server, path, Host=host).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cache-control"] == "no-store"
