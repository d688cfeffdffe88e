"""The attribute names that spans have when they are ours: what is written out, and read back in the same words.

They are OpenTelemetry's GenAI and GraphQL conventions (semantic-conventions-genai 0.1.0) and OpenInference's. What
other tools write beside them stands in `semconv.py`, where these names come first. What a record has and no convention
names begins with `agent_instrument.`.
"""

from __future__ import annotations

OPERATION = "gen_ai.operation.name"
INVOKE_AGENT, EXECUTE_TOOL, CHAT = "invoke_agent", "execute_tool", "chat"
AGENT_NAME = "gen_ai.agent.name"
TOOL_NAME = "gen_ai.tool.name"
TOOL_TYPE = "gen_ai.tool.type"
CONVERSATION = "gen_ai.conversation.id"
REQUEST_MODEL = "gen_ai.request.model"
RESPONSE_MODEL = "gen_ai.response.model"
PROVIDER = "gen_ai.provider.name"
FIRST_CHUNK = "gen_ai.response.time_to_first_chunk"
"""Seconds."""

INPUT_TOKENS = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS = "gen_ai.usage.output_tokens"
CACHED_TOKENS = "gen_ai.usage.cache_read.input_tokens"
REASONING_TOKENS = "gen_ai.usage.reasoning.output_tokens"
INPUT_MESSAGES = "gen_ai.input.messages"
OUTPUT_MESSAGES = "gen_ai.output.messages"

GRAPHQL_TYPE = "graphql.operation.type"
GRAPHQL_NAME = "graphql.operation.name"

ERROR_TYPE = "error.type"
EXCEPTION = "exception"
EXCEPTION_TYPE = "exception.type"
EXCEPTION_MESSAGE = "exception.message"
FUNCTION = "code.function.name"

OI_KIND = "openinference.span.kind"
OI_AGENT, OI_TOOL, OI_LLM = "AGENT", "TOOL", "LLM"
OI_INPUT = "input.value"
OI_OUTPUT = "output.value"
OI_MODEL = "llm.model_name"
OI_PROVIDER = "llm.provider"
OI_INPUT_TOKENS = "llm.token_count.prompt"
OI_OUTPUT_TOKENS = "llm.token_count.completion"
OI_TOTAL_TOKENS = "llm.token_count.total"
OI_CACHED_TOKENS = "llm.token_count.prompt_details.cache_read"
OI_REASONING_TOKENS = "llm.token_count.completion_details.reasoning"
OI_COST = "llm.cost.total"
"""US dollars."""

OI_AGENT_NAME = "agent.name"
OI_TOOL_NAME = "tool.name"
SESSION = "session.id"
USER = "user.id"

MLFLOW_COST = "mlflow.llm.cost"
"""JSON with `total_cost`, by which MLflow shows the cost of a model that it has no price for."""

OURS = "agent_instrument"
STATUS = f"{OURS}.status"
ENTITIES = f"{OURS}.entities"
RESULT_SIZE = f"{OURS}.result_size_bytes"
SELECTED_AGENT = f"{OURS}.selection.agent"
COMPLEXITY = f"{OURS}.selection.complexity_score"
SELECTION_REASON = f"{OURS}.selection.reason"
METRIC = f"{OURS}.metric."
WEIGHT = f"{OURS}.weight"
LATE = f"{OURS}.late"
VARIABLES = f"{OURS}.variables_hash"
TOTALS = f"{OURS}.totals"
"""Marks a `chat` span that stands for no call: it has the tokens that the application recorded for the whole query."""

UNFINISHED = f"{OURS}.unfinished_call"
"""The event of a call that had not ended when its query did."""
