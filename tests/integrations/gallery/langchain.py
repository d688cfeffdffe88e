"""A LangChain agent with one tool; its model is scripted, so that it needs no network."""

from langchain.agents import create_agent
from langchain_core.language_models.fake_chat_models import FakeMessagesListChatModel
from langchain_core.messages import AIMessage
from langchain_core.tools import tool


@tool
def customers_of(country: str) -> list[str]:
    """Find the customers of a country."""
    return {"India": ["Asha", "Vikram"]}.get(country, [])


class Scripted(FakeMessagesListChatModel):
    def bind_tools(self, tools: object, **options: object) -> "Scripted":
        return self


asks = AIMessage("", tool_calls=[{"name": "customers_of", "args": {"country": "India"}, "id": "1"}])
agent = create_agent(Scripted(responses=[asks, AIMessage("Asha and Vikram")]), [customers_of], name="support")
result = agent.invoke({"messages": [{"role": "user", "content": "who are our customers in India?"}]})
print(result["messages"][-1].content)
