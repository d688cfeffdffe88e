"""The user's own words in what frameworks keep as the input of an agent or a model.

Messages come as JSON, as JSON in JSON, as pairs of role and text, over numbered attributes, or as events of a span.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

# Where the user's words stand in what frameworks keep as an input.
_QUESTION_KEYS = (
    "user_input",
    "task",
    "question",
    "query",
    "prompt",
    "input",
    "message",
    "new_message",
    "user_message",
    "messages",
    "contents",
    "content",
    "parts",
    "text",
    "args",
    "inputs",
    "kwargs",
)
_USER_ROLES = frozenset(("user", "human"))
_OTHER_ROLES = frozenset(("assistant", "ai", "model", "system", "tool", "function", "developer"))
_ROLES = _USER_ROLES | _OTHER_ROLES
# A tool's answer comes back in a message of the user's.
_ANSWER_TYPES = frozenset(("tool_result", "tool-result", "tool_call_response", "function_call_output"))
_ANSWER_KEYS = ("toolResult", "functionResponse", "function_response", "tool_result")
_DEEPEST = 12

_NUMBERED = re.compile(
    r"(?:gen_ai\.prompt|llm\.prompts|llm\.input_messages|gen_ai\.input\.messages)\.(\d{1,6})\."
    r"(?:message\.)?(role|content|contents\.\d+\.message_content\.text)"
)
_EVENT = re.compile(r"gen_ai\.(user|system|assistant|tool)\.message")
_EVENT_TEXTS = ("content", "gen_ai.event.content", "gen_ai.prompt", "body", "message")
_EVENTS_WITH_ALL = ("gen_ai.client.inference.operation.details", "gen_ai.content.prompt")
_ALL_TEXTS = ("gen_ai.input.messages", "gen_ai.prompt")


def numbered_messages(attributes: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Put messages together that stand part by part in attributes with numbers in their names, in order."""
    found: dict[int, dict[str, Any]] = {}
    for key, value in attributes.items():
        if match := _NUMBERED.fullmatch(key):
            message = found.setdefault(int(match[1]), {})
            part = "role" if match[2] == "role" else "content"
            message[part] = f"{message[part]}\n{value}" if part in message else value
    return [found[place] for place in sorted(found)]


def messages_in(events: Iterable[tuple[str, Mapping[str, Any]]]) -> list[Any]:
    """Put messages together that are events of a span, in order."""
    found: list[Any] = []
    for name, attributes in events:
        if match := _EVENT.fullmatch(name):
            content = next((attributes[key] for key in _EVENT_TEXTS if attributes.get(key)), None)
            found.append({"role": match[1], "content": content})
        elif name in _EVENTS_WITH_ALL:
            found += [attributes[key] for key in _ALL_TEXTS if attributes.get(key)]
    return found


def question_in(value: Any, *, or_all: bool = True) -> str:
    """Find the user's own words in what a framework kept as the input: text, JSON, messages, or JSON in JSON.

    Of several messages the last one of the user counts. Where none can be found, it is the whole input as text, or
    nothing if `or_all` is false.
    """
    found = _question(value, _DEEPEST)
    return (found or (plain_text(value) if or_all else "")).strip()


def _question(value: Any, deep: int) -> str:
    if deep < 0:
        return ""
    if isinstance(value, str):
        inner = _decoded(value)
        return value if inner is None else _question(inner, deep - 1)
    if isinstance(value, (list, tuple)):
        return _question_among(value, deep)
    if not isinstance(value, Mapping) or str(value.get("role") or "").lower() in _OTHER_ROLES:
        return ""
    return _question_under(value, deep)


def _question_among(values: list[Any] | tuple[Any, ...], deep: int) -> str:
    """The last message of the user; else, where nobody else has a part in it, the first text."""
    values = [_unpaired(value) for value in values]
    roles = [_role(value) for value in values]
    for role, value in zip(reversed(roles), reversed(values), strict=True):
        if role in _USER_ROLES and (found := _question_under(value, deep - 1)):
            return found
    if any(role in _OTHER_ROLES for role in roles):
        return ""
    return next((found for value in values if (found := _question(value, deep - 1))), "")


def _question_under(value: Mapping[str, Any], deep: int) -> str:
    if str(value.get("type")) in _ANSWER_TYPES or any(key in value for key in _ANSWER_KEYS):
        return ""
    keys = (key for key in _QUESTION_KEYS if value.get(key))
    return next((found for key in keys if (found := _question(value[key], deep - 1))), "")


def _role(value: Any) -> str:
    if not isinstance(value, Mapping):
        return ""
    role = str(value.get("role") or value.get("type") or "").lower()
    if role == "constructor" and isinstance(value.get("id"), list):  # a message of LangChain's, serialised
        role = str(value["id"][-1:]).lower().strip("[]'").removesuffix("chunk").removesuffix("message")
    if match := _EVENT.fullmatch(str(value.get("event.name") or "")):
        return match[1]
    return role


def _unpaired(value: Any) -> Any:
    """A message given as a pair of role and content, as a mapping; anything else as it is."""
    if isinstance(value, (list, tuple)) and len(value) == 2 and str(value[0]).lower() in _ROLES:
        return {"role": str(value[0]).lower(), "content": value[1]}
    return value


def _decoded(text: str) -> Any:
    """The list, object or text that a text is the JSON of; None if it is none of these."""
    if text.lstrip()[:1] not in ("{", "[", '"'):
        return None
    try:
        inner = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return inner if isinstance(inner, (str, list, dict)) else None


def plain_text(value: Any) -> str:
    """A value as text, without the quotes of a text that is kept as JSON; nothing for None."""
    if isinstance(value, str):
        return value[1:-1] if len(value) > 1 and value[0] == value[-1] == '"' and "\\" not in value else value
    if value is None:
        return ""
    if isinstance(value, (Mapping, list, tuple)):
        try:
            return json.dumps(value, ensure_ascii=False, default=str)
        except (ValueError, RecursionError):
            return ""
    return str(value)
