"""An agent of the OpenAI Agents SDK with one tool; its model is scripted, so that it needs no network."""

from agents import Agent, Model, ModelResponse, Runner, Usage, function_tool, set_trace_processors
from openai.types.responses import ResponseFunctionToolCall, ResponseOutputMessage, ResponseOutputText

set_trace_processors([])  # without the SDK's own, nothing leaves this machine


@function_tool
def customers_of(country: str) -> list[str]:
    """Find the customers of a country."""
    return {"India": ["Asha", "Vikram"]}.get(country, [])


asks = ResponseFunctionToolCall(
    name="customers_of", arguments='{"country": "India"}', call_id="1", type="function_call"
)
text = ResponseOutputText(text="Asha and Vikram", type="output_text", annotations=[])
says = ResponseOutputMessage(id="2", content=[text], role="assistant", status="completed", type="message")
turns = iter([asks, says])


class Scripted(Model):
    async def get_response(self, *told: object, **options: object) -> ModelResponse:
        return ModelResponse([next(turns)], Usage(1, 40, output_tokens=6, total_tokens=46), None)

    async def stream_response(self, *told: object, **options: object):
        raise NotImplementedError
        yield


agent = Agent(name="support", model=Scripted(), tools=[customers_of])
print(Runner.run_sync(agent, "who are our customers in India?").final_output)
