"""An agent whose tool asks three places at once, in a pool of threads."""

from concurrent.futures import ThreadPoolExecutor

from instrument import track_query, track_tool


@track_tool
def customers_of(country: str) -> list[str]:
    return {"India": ["Asha", "Vikram"], "Kenya": ["Wanjiru"]}.get(country, [])


@track_tool
def customers_of_all(*countries: str) -> list[str]:
    with ThreadPoolExecutor() as pool:
        return [name for names in pool.map(customers_of, countries) for name in names]


@track_query(agent="simple")
def answer(user_input: str) -> str:
    return ", ".join(customers_of_all("India", "Kenya", "Peru"))


print(answer("customers in India, Kenya and Peru"))
