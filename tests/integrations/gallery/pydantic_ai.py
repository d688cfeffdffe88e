"""A PydanticAI agent with one tool; its model is the library's own for tests, so that it needs no network."""

from pydantic_ai import Agent
from pydantic_ai.models.test import TestModel

agent = Agent(TestModel(custom_output_text="Asha and Vikram"), name="support")


@agent.tool_plain
def customers_of(country: str) -> list[str]:
    """Find the customers of a country."""
    return {"India": ["Asha", "Vikram"]}.get(country, ["Wanjiru"])


print(agent.run_sync("who are our customers in India?").output)
