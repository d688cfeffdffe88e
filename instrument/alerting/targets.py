"""Where messages go: addresses that apprise knows, with secrets taken from the environment and never shown."""

from __future__ import annotations

import hashlib
import os
import re
import warnings
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from msgspec import Struct

from instrument.alerting.rules import Rule, Rules
from instrument.errors import ConfigError, UsageError

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_HOST_IS_SHOWN = frozenset({"json", "jsons", "xml", "xmls", "form", "forms", "http", "https", "mailto", "mailtos"})
"""Schemes in whose addresses the host is a host; in others it may be a token."""

SECONDS = 30
"""How long one message may take."""


class Target(Struct, frozen=True):
    """One address: `key` tells it from others in the state, `url` is as the settings have it, `label` may be shown."""

    key: str
    url: str
    label: str


def targets_of(rule: Rule, rules: Rules) -> list[Target]:
    """The targets of a rule: those it names, else all in `[alert_targets]`."""
    names = rule.notify or tuple(rules.targets)
    return list({one.key: one for one in (_target(name, rules) for name in names)}.values())


def all_targets(rules: Rules) -> dict[str, Target]:
    """The targets of all rules, by key."""
    return {one.key: one for rule in rules.rules for one in targets_of(rule, rules)}


def _target(name: str, rules: Rules) -> Target:
    if name in rules.targets:
        return Target(name, rules.targets[name], f"{name} ({shown(rules.targets[name])})")
    return Target(hashlib.sha256(name.encode()).hexdigest()[:12], name, shown(name))


def shown(url: str) -> str:
    """An address without its secrets: the scheme, and the host where that cannot be one."""
    if "://" not in url:
        return "${…}" if "${" not in url else ", ".join(f"${{{each}}}" for each in _VARIABLE.findall(url)) or "${…}"
    scheme, _, rest = url.partition("://")
    if scheme.lower() not in _HOST_IS_SHOWN:
        return f"{scheme}://…"
    try:
        host = urlsplit(f"x://{rest}").hostname
    except ValueError:
        host = None
    return f"{scheme}://{host}" if host and "${" not in host else f"{scheme}://…"


def expanded(target: Target, environ: Mapping[str, str]) -> str:
    """The address with its variables filled in. Raises UsageError that names one that is not set."""
    for name in _VARIABLE.findall(target.url):
        if not environ.get(name):
            raise UsageError(f"target {target.label}: the environment variable {name} is not set")
    found = _VARIABLE.sub(lambda match: environ[match[1]], target.url)
    if "${" in found:
        raise UsageError(f"target {target.label}: it has a ${{…}} that names no variable; write ${{NAME}}")
    return found


def check_targets(rules: Rules) -> None:
    """Make sure that every target can be sent to. Raises ConfigError that names the rule and the target."""
    for rule in rules.rules:
        for target in targets_of(rule, rules):
            try:
                _opened(target)
            except UsageError as error:
                raise ConfigError("alerts", rules.source, f"alert {rule.name!r}: {error}") from None


def _opened(target: Target) -> Any:
    apprise = _apprise()
    asset = apprise.AppriseAsset(app_id="agent-instrument", app_desc="agent-instrument", async_mode=False)
    url = expanded(target, os.environ)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # services are imported now, some with modules that are deprecated
        one = apprise.Apprise.instantiate(url, asset=asset, suppress_exceptions=True)
    if one is None:
        raise UsageError(
            f"target {target.label} is no address that apprise knows; "
            "write one such as mailtos://USER:PASSWORD@HOST?to=ADDRESS or jsons://HOST/PATH"
        )
    opened = apprise.Apprise(asset=asset)
    opened.add(one)
    return opened


def _apprise() -> Any:
    try:
        import apprise
    except ModuleNotFoundError as error:
        if error.name != "apprise":
            raise
        raise UsageError("messages need apprise: pip install 'agent-instrument[alerts]'") from None
    import logging

    log = logging.getLogger("apprise")
    log.propagate = False  # what it logs may hold an address with its secrets
    if not log.handlers:
        log.addHandler(logging.NullHandler())
    return apprise


def send(target: Target, title: str, body: str, kind: str) -> str:
    """Send one message; returns "" when the target took it, else what was wrong, without any secret.

    `kind` is `failure`, `warning`, `info` or `success`.
    """
    try:
        opened = _opened(target)
    except UsageError as error:
        return str(error)
    apprise = _apprise()
    try:
        result = opened.notify(
            body=body, title=title, notify_type=apprise.NotifyType(kind), body_format="text", timeout=SECONDS
        )
    except Exception as error:  # noqa: BLE001 - one of a hundred services' plugins; the message is tried again
        return f"{type(error).__name__} while sending"
    return "" if result else "it did not take the message"
