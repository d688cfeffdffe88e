"""A crew of CrewAI whose clerk looks something up; its model reads from a card, so that it runs offline."""

import os

# Or CrewAI asks the network for leave, and waits for it at the end.
os.environ.update(CREWAI_DISABLE_TELEMETRY="true", CREWAI_TRACING_ENABLED="false", CREWAI_DISABLE_VERSION_CHECK="true")

from crewai import Agent, BaseLLM, Crew, Task
from crewai.tools import tool

CARD = (
    'Thought: I look it up\nAction: look_up_bills\nAction Input: {"country": "India"}',
    "Thought: I now know the final answer\nFinal Answer: Two bills are unpaid in India.",
)


class CardReader(BaseLLM):
    def get_input_tokens_count(self, messages, *args):
        return len(str(messages)) // 4

    def call(self, messages, *args, **options):
        return CARD[any(message["role"] == "assistant" for message in messages)]


@tool("look_up_bills")
def look_up_bills(country: str) -> str:
    """Look up the unpaid bills of a country."""
    return f"2 in {country}"


clerk = Agent(
    role="Clerk",
    goal="Find unpaid bills",
    backstory="Years at the desk",
    tools=[look_up_bills],
    llm=CardReader(model="card"),
)
search = Task(
    name="search",
    description="Find the unpaid bills in {country}",
    expected_output="How many there are",
    agent=clerk,
)
print(Crew(agents=[clerk], tasks=[search], name="Bills").kickoff(inputs={"country": "India"}).raw)
