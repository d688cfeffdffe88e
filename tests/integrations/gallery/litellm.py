"""An agent that asks a model through LiteLLM, whose own mock answers, so that it needs no network."""

import litellm

from instrument import track_query


@track_query(agent="simple")
def answer(user_input: str) -> str:
    messages = [{"role": "user", "content": user_input}]
    said = litellm.completion(model="openai/small-1", messages=messages, mock_response="Asha and Vikram")
    return said.choices[0].message.content


print(answer("who are our customers in India?"))
