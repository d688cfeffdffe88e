"""What the attributes of a trace's span mean, whoever made them, as plain functions on plain mappings.

Known are OpenTelemetry's GenAI and GraphQL conventions, OpenInference, and what Langfuse, Traceloop, LangSmith, MLflow,
the Vercel AI SDK and PydanticAI write beside them. Where several speak, the first in each list counts: OpenTelemetry's
own first, and of a model's names the one that answered before the one that was asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple

from instrument.interchange import span_names as names
from instrument.interchange.questions import messages_in, numbered_messages, plain_text, question_in

Kind = Literal["agent", "tool", "llm", "graphql"]
Ending = Literal["ok", "error", "cancelled", "closed"]
Attributes = Mapping[str, Any]

_KIND_KEYS = (
    names.OPERATION,
    names.OI_KIND,
    "langfuse.observation.type",
    "traceloop.span.kind",
    "langsmith.span.kind",
    "mlflow.spanType",
    "ai.operationId",
)
_KINDS: dict[str, Kind] = {
    "invoke_agent": "agent",
    "invoke_workflow": "agent",
    "agent": "agent",
    "workflow": "agent",
    "execute_tool": "tool",
    "tool": "tool",
    "function": "tool",
    "retrieval": "tool",
    "retriever": "tool",
    "reranker": "tool",
    "ai.toolcall": "tool",
    "chat": "llm",
    "text_completion": "llm",
    "generate_content": "llm",
    "embeddings": "llm",
    "llm": "llm",
    "chat_model": "llm",
    "generation": "llm",
    "embedding": "llm",
}
# What only one kind of span has, for spans that do not say what they are.
_SIGNS: tuple[tuple[Kind, tuple[str, ...]], ...] = (
    ("graphql", (names.GRAPHQL_NAME, names.GRAPHQL_TYPE, "graphql.document")),
    ("tool", (names.TOOL_NAME, names.OI_TOOL_NAME)),
    ("llm", (names.REQUEST_MODEL, names.RESPONSE_MODEL, names.OI_MODEL, "llm.request.type")),
    ("agent", (names.AGENT_NAME, names.OI_AGENT_NAME)),
)
_AGENT_NAMES = (names.AGENT_NAME, names.OI_AGENT_NAME, "agent_name", "gen_ai.workflow.name")
_TOOL_NAMES = (names.TOOL_NAME, names.OI_TOOL_NAME, "ai.toolCall.name")
_ENTITY_NAME = "traceloop.entity.name"
_MODELS = (
    names.RESPONSE_MODEL,
    "llm.response.model_name",
    "ai.response.model",
    names.REQUEST_MODEL,
    names.OI_MODEL,
    "llm.request.model_name",
    "langfuse.observation.model.name",
    "embedding.model_name",
    "ai.model.id",
    "model_name",
)
_TOKENS_IN = (
    names.INPUT_TOKENS,
    "gen_ai.usage.prompt_tokens",
    names.OI_INPUT_TOKENS,
    "llm.usage.prompt_tokens",
    "ai.usage.inputTokens",
    "ai.usage.promptTokens",
    "gen_ai.aggregated_usage.input_tokens",
)
_TOKENS_OUT = (
    names.OUTPUT_TOKENS,
    "gen_ai.usage.completion_tokens",
    names.OI_OUTPUT_TOKENS,
    "llm.usage.completion_tokens",
    "ai.usage.outputTokens",
    "ai.usage.completionTokens",
    "gen_ai.aggregated_usage.output_tokens",
)
_CACHED = (
    names.CACHED_TOKENS,
    "gen_ai.usage.cache_read_input_tokens",
    "gen_ai.usage.details.cache_read_tokens",
    "gen_ai.usage.details.cached_tokens",
    "gen_ai.usage.input_tokens.cached",
    names.OI_CACHED_TOKENS,
    "ai.usage.cachedInputTokens",
)
_REASONING = (
    names.REASONING_TOKENS,
    "gen_ai.usage.reasoning_tokens",
    "gen_ai.usage.details.reasoning_tokens",
    "gen_ai.usage.details.thoughts_tokens",
    "gen_ai.usage.output_tokens.reasoning",
    names.OI_REASONING_TOKENS,
    "ai.usage.reasoningTokens",
)
_PROVIDERS = (names.PROVIDER, "gen_ai.system", names.OI_PROVIDER, "llm.system", "ai.model.provider")
_MERGED_TOOLS, _MERGED_SPAN = "(merged tools)", "execute_tool (merged)"
"""What Google ADK calls the span that only bundles the answers of calls made at once, each of which has its own."""

_MCP_CALL = "tools/call"
_COSTS = ("gen_ai.usage.cost", "gen_ai.cost.total_cost", "operation.cost", names.OI_COST)
_INPUTS = (
    "langfuse.trace.input",
    names.INPUT_MESSAGES,
    "gen_ai.prompt",
    names.OI_INPUT,
    "langfuse.observation.input",
    "traceloop.entity.input",
    "mlflow.spanInputs",
    "ai.prompt",
    "ai.prompt.messages",
    "gen_ai.tool.call.arguments",
    "tool_arguments",
    "pydantic_ai.all_messages",
    "all_messages_events",
    "request_data",
    "events",
)
_MESSAGES = (names.INPUT_MESSAGES, "langfuse.observation.input", names.OI_INPUT)
_OUTPUTS = (
    "langfuse.trace.output",
    names.OUTPUT_MESSAGES,
    "gen_ai.completion",
    names.OI_OUTPUT,
    "langfuse.observation.output",
    "traceloop.entity.output",
    "mlflow.spanOutputs",
    "ai.response.text",
    "final_result",
    "gen_ai.tool.call.result",
    "ai.toolCall.result",
    "tool_response",
)
_SESSIONS = (names.SESSION, names.CONVERSATION, "langfuse.session.id", "langsmith.trace.session_id")
_USERS = (names.USER, "enduser.id", "langfuse.user.id")
_ENDINGS: dict[str, Ending] = {"CancelledError": "cancelled", "GeneratorExit": "closed"}


class Tokens(NamedTuple):
    """Tokens that a model was given and gave; None where nobody counted them.

    `cached` are those of the input that a cache had, `reasoning` those of the output that nobody sees.
    """

    input: int | None
    output: int | None
    cached: int | None = None
    reasoning: int | None = None


class Failure(NamedTuple):
    """The type of an error, without its module, and its message, if there is one."""

    type: str
    message: str | None


class McpCall(NamedTuple):
    """A call of an MCP tool: its session and its request in there, each empty where the span does not say."""

    session: str
    request: str

    def may_be(self, other: McpCall | None) -> bool:
        """Whether two spans may stand for one call: they name no different session or request."""
        return other is None or all(not own or not its or own == its for own, its in zip(self, other, strict=True))


def kind_of(attributes: Attributes) -> Kind | None:
    """Say what a span stands for; None for a step that is none of these, such as a chain.

    A span that names its kind is believed, before what can be concluded from the attributes it has.
    """
    if attributes.get(names.TOOL_NAME) == _MERGED_TOOLS or names.TOTALS in attributes:
        return None
    for key in _KIND_KEYS:
        if key not in attributes:
            continue
        word = plain_text(attributes[key]).lower()
        if word in _KINDS:
            found = _KINDS[word]
            # OpenInference has no kind for GraphQL: its spans are tools there.
            is_graphql = found == "tool" and key == names.OI_KIND and any(attributes.get(sign) for sign in _SIGNS[0][1])
            return "graphql" if is_graphql else found
        if word.startswith("ai."):
            return "llm" if "." in word[3:] or word.startswith("ai.embed") else "agent"
        if word:
            return None
    return next((kind for kind, keys in _SIGNS if any(attributes.get(key) for key in keys)), None)


def is_merged(span_name: str) -> bool:
    """Whether a span, by its name, is Google ADK's that bundles the answers of calls which have spans of their own."""
    return span_name == _MERGED_SPAN


def is_chain(attributes: Attributes) -> bool:
    """Whether a span says that it is a chain: a step, unless it is the outermost, which is then the agent's."""
    return any(plain_text(attributes[key]).lower() == "chain" for key in _KIND_KEYS if key in attributes)


def kind_in(span_name: str) -> Kind | None:
    """Say what a span stands for by the first word of its name, where that is one of OpenTelemetry's own.

    For spans that are told what they are only after they have begun.
    """
    if is_merged(span_name):
        return None
    word = span_name.partition(" ")[0]
    return _KINDS[word] if "_" in word and word in _KINDS else None


def name_of(attributes: Attributes, span_name: str = "") -> str:
    """Name what a span stands for: its agent, tool, GraphQL operation or model, else the span itself."""
    kind = kind_of(attributes)
    if kind == "graphql":
        return operation_of(attributes) or span_name
    if kind == "tool":
        return _first(attributes, (*_TOOL_NAMES, _ENTITY_NAME)) or span_name
    if kind == "agent":
        return agent_of(attributes) or _first(attributes, (_ENTITY_NAME,)) or span_name
    return (model_of(attributes) if kind == "llm" else None) or span_name


def agent_of(attributes: Attributes) -> str | None:
    """Name the agent that a span belongs to, if it says so."""
    return _first(attributes, _AGENT_NAMES)


def operation_of(attributes: Attributes) -> str | None:
    """Name a GraphQL operation as `query Customers`, as far as the span says."""
    parts = (plain_text(attributes.get("graphql.operation.type")), plain_text(attributes.get("graphql.operation.name")))
    return " ".join(part for part in parts if part) or None


def model_of(attributes: Attributes) -> str | None:
    """Name the model."""
    return _first(attributes, _MODELS)


def tokens_of(attributes: Attributes) -> Tokens | None:
    """Count the tokens of a span; None if it has no counts.

    An agent's span, and a model's around another model's, repeat what the spans inside them have: count one of both.
    """
    given, gave = _whole(attributes, _TOKENS_IN), _whole(attributes, _TOKENS_OUT)
    if (given, gave) == (None, None):
        return None
    return Tokens(given, gave, _whole(attributes, _CACHED), _whole(attributes, _REASONING))


def cost_of(attributes: Attributes) -> float | None:
    """Give the cost in US dollars, if the span knows it."""
    for key in _COSTS:
        if key in attributes and (number := _number(attributes[key])) is not None:
            return number
    return None


def first_chunk_of(attributes: Attributes) -> int | None:
    """Give the time to the first chunk of an answer, in ns."""
    seconds = _number(attributes.get(names.FIRST_CHUNK))
    return None if seconds is None else round(seconds * 1e9)


def is_totals(attributes: Attributes) -> bool:
    """Whether a span stands for no call, but has the tokens that were recorded for a whole query."""
    return names.TOTALS in attributes


def size_recorded(attributes: Attributes) -> int | None:
    """Give the size of a result in bytes, where the span says the size and not the result."""
    return _whole(attributes, (names.RESULT_SIZE,))


def input_of(attributes: Attributes) -> str | None:
    """Give what went into a span, as text: JSON stays JSON."""
    return _first(attributes, _INPUTS) or plain_text(numbered_messages(attributes) or None) or None


def question_of(attributes: Attributes, *, or_all: bool = True) -> str:
    """Find the user's own words in what went into a span, as `question_in` does."""
    for key in _INPUTS:
        if key in attributes and (found := question_in(attributes[key], or_all=False)):
            return found
    found = question_in(numbered_messages(attributes), or_all=False)
    return found or (question_in(_first(attributes, _INPUTS)) if or_all else "")


def with_messages(attributes: Attributes, events: Iterable[tuple[str, Attributes]]) -> Attributes:
    """Give a span's attributes, with the messages that some keep as its events as if they were among them."""
    if any(key in attributes for key in _MESSAGES):
        return attributes
    messages = messages_in(events)
    return {**attributes, _MESSAGES[0]: messages} if messages else attributes


def mcp_call_of(attributes: Attributes) -> McpCall | None:
    """Name the call of an MCP tool that a span stands for; None for a span of anything else."""
    if plain_text(attributes.get("mcp.method.name")) != _MCP_CALL:
        return None
    return McpCall(plain_text(attributes.get("mcp.session.id")), plain_text(attributes.get("jsonrpc.request.id")))


def provider_of(attributes: Attributes) -> str | None:
    """Name who serves the model."""
    return _first(attributes, _PROVIDERS)


def output_of(attributes: Attributes) -> str | None:
    """Give what came out of a span, as text: JSON stays JSON."""
    return _first(attributes, _OUTPUTS)


def session_of(attributes: Attributes) -> str | None:
    """Name the session or conversation that a span belongs to."""
    return _first(attributes, _SESSIONS)


def user_of(attributes: Attributes) -> str | None:
    """Name the user that a span belongs to."""
    return _first(attributes, _USERS)


def error_of(
    attributes: Attributes,
    *,
    failed: bool = False,
    message: str | None = None,
    events: Iterable[tuple[str, Attributes]] = (),
) -> Failure | None:
    """Say how a span failed; None if it did not.

    `failed` is whether its status is ERROR, `message` that status's description, `events` its events by name. An
    exception event alone is no failure: it may have been caught. An `error.type` is one.
    """
    named = _first(attributes, ("error.type",))
    if not failed and not named:
        return None
    exceptions = [event for name, event in events if name == "exception"]
    last: Attributes = exceptions[-1] if exceptions else {}
    kind = _first(last, ("exception.type",)) or named or _first(attributes, ("exception.type",)) or "Error"
    told = _first(last, ("exception.message",)) or message or _first(attributes, ("error.message", "exception.message"))
    return Failure("Error" if kind == "_OTHER" else kind.rpartition(".")[2] or kind, told or None)


def status_of(failure: Failure | None) -> Ending:
    """Give the status that a record of a finished span has."""
    return "ok" if failure is None else _ENDINGS.get(failure.type, "error")


def _first(attributes: Attributes, keys: Iterable[str]) -> str | None:
    for key in keys:
        if key in attributes and (text := plain_text(attributes[key])):
            return text
    return None


def _whole(attributes: Attributes, keys: Iterable[str]) -> int | None:
    for key in keys:
        if key in attributes and (number := _number(attributes[key])) is not None:
            return int(number)
    return None


def _number(value: Any) -> float | None:
    """A number that counts something, also when it is kept as text."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if 0 <= number < 2**53 else None
