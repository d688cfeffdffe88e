"""A graph of two nodes: one looks customers up by a tool of LangChain's, one by a function of its own."""

from typing import TypedDict

from langchain_core.tools import tool
from langgraph.graph import END, START, StateGraph

from instrument import track_tool


class State(TypedDict, total=False):
    question: str
    customers: list[str]
    answer: str


@tool
def customers_of(country: str) -> list[str]:
    """Find the customers of a country."""
    return {"India": ["Asha", "Vikram"]}.get(country, [])


@track_tool
def unpaid_bills(customer: str) -> int:
    return {"Asha": 2}.get(customer, 0)


def find(state: State) -> State:
    return {"customers": customers_of.invoke({"country": state["question"].split()[-1]})}


def reckon(state: State) -> State:
    return {"answer": ", ".join(f"{name}: {unpaid_bills(name)}" for name in state["customers"])}


graph = StateGraph(State)
graph.add_node("find", find)
graph.add_node("reckon", reckon)
graph.add_edge(START, "find")
graph.add_edge("find", "reckon")
graph.add_edge("reckon", END)
print(graph.compile(name="billing").invoke({"question": "unpaid bills in India"})["answer"])
