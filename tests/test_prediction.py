"""What a query will take is said from similar queries, with how many they were, and not at all where they are few."""

from __future__ import annotations

import csv
import math
import os
import random
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import fmean

import pytest

from instrument import prediction
from instrument.analysis.learning import Evaluation, Known, Learner, evaluate, in_turn, pinball, renew
from instrument.prediction import FILE, P50, P90, Model, Prediction, nested, predict
from instrument.reading import open_store
from instrument.rows.stored import QueryRow
from instrument.sinks.segments import SegmentSink

SECOND = 1_000_000
AZURE = Path(__file__).parents[1] / "../shared/data/requests/AzureLLMInferenceTrace_code.csv"


def query(number: int, duration_ms: float, **more: object) -> Known:
    begun = number * 60 * SECOND
    known: dict[str, object] = {"user_input": "question", "agent": "a", "model": None, "attribute": None}
    return Known(begun, begun + int(duration_ms * 1000), duration_ms=duration_ms, failed=False, **(known | more))  # type: ignore[arg-type]


def test_a_group_of_few_is_drawn_towards_the_wider_one() -> None:
    assert nested([(10.0, 1000), (20.0, 0)], 0.5) == 10
    assert nested([(10.0, 1000), (20.0, 8)], 0.5) == 15
    assert nested([(10.0, 1000), (None, 0)], 0.5) == 10
    assert nested([(10.0, 1000), (20.0, 10**9)], 0.5) == pytest.approx(20)
    assert nested([(None, 0)], 0.5) is None


def test_only_queries_that_have_completed_are_known_when_the_next_begins() -> None:
    slow, quick, last = query(0, 150_000), query(1, 1), query(3, 1)
    assert [(one, done) for one, done in in_turn([last, quick, slow])] == [
        (slow, []),
        (quick, []),
        (last, [quick, slow]),
    ]


def test_a_change_of_an_agent_shows_within_its_last_thirty_queries() -> None:
    learner = Learner()
    for number in range(200):
        learner.learn(query(number, 1000))
    for number in range(200, 240):
        learner.learn(query(number, 4000))
    said = learner.quantile(query(240, 0), P50)
    assert said is not None
    assert math.exp(said) == pytest.approx(4000, rel=0.15)


def test_agents_models_and_lengths_are_told_apart() -> None:
    chance, learner = random.Random(1), Learner()
    for number in range(600):
        agent, text = chance.choice(("a", "b")), "x" * chance.choice((10, 1000))
        expected = (100 if agent == "a" else 10_000) * (1 if len(text) == 10 else 5)
        learner.learn(query(number, expected * math.exp(chance.gauss(0, 0.1)), agent=agent, user_input=text))
    for agent, length, expected in (("a", 10, 100), ("a", 1000, 500), ("b", 10, 10_000), ("b", 1000, 50_000)):
        said = learner.quantile(query(601, 0, agent=agent, user_input="x" * length), P50)
        assert said is not None
        assert math.exp(said) == pytest.approx(expected, rel=0.35)


def test_nine_tenths_of_the_queries_stay_below_the_p90_also_while_durations_drift() -> None:
    chance = random.Random(3)
    queries = [query(number, 1000 * math.exp(chance.gauss(0, 0.5) + number / 1500)) for number in range(3000)]
    found = evaluate(queries)
    assert found is not None
    assert 0.88 <= found.covered <= 0.92
    assert found.p50 < 0.9 * found.plain_p50
    assert found.p90 < 0.9 * found.plain_p90


def test_queries_like_those_that_fail_of_late_are_given_a_greater_risk() -> None:
    chance = random.Random(5)
    queries = []
    for number in range(2000):
        agent = chance.choice(("fine", "broken"))
        failed = chance.random() < (0.4 if agent == "broken" and 800 < number < 1600 else 0.01)
        queries.append(Known(number * SECOND, number * SECOND + 1000, "q", agent, None, None, 1.0, failed))
    found = evaluate(queries)
    assert found is not None
    assert found.failures_auc is not None
    assert found.failures_auc > 0.8


def test_too_few_queries_are_not_evaluated() -> None:
    assert evaluate([query(number, 5) for number in range(50)]) is None
    assert evaluate([]) is None


def test_the_pinball_loss_is_least_at_the_quantile() -> None:
    values = [float(value) for value in range(101)]
    best = min(range(101), key=lambda said: fmean(pinball(value, said, 0.9) for value in values))
    assert best in (89, 90, 91)


@pytest.mark.skipif(not AZURE.exists(), reason="the public data is not here")
def test_real_requests_with_nothing_to_learn_from_are_predicted_as_well_as_by_their_quantiles() -> None:
    with open(AZURE, newline="") as stream:
        rows = list(csv.DictReader(stream))[:6000]
    queries = []
    for row in rows:
        at = int(datetime.fromisoformat(row["TIMESTAMP"][:26]).replace(tzinfo=UTC).timestamp() * 1e6)
        text, tokens = "x" * int(row["ContextTokens"]), max(1, int(row["GeneratedTokens"]))
        queries.append(Known(at, at + 1000, text, "code", None, None, tokens * 1000.0, False))
    found = evaluate(queries)
    assert found is not None
    assert found.p50 < 1.01 * found.plain_p50
    assert found.p90 < 1.01 * found.plain_p90
    assert 0.88 <= found.covered <= 0.92


# -- from a store to the application ---------------------------------------------------------------------------------


def store(directory: Path, count: int = 300) -> Path:
    """A store in which German queries of the agent take ten times as long as others, and cost something."""
    start = datetime(2026, 3, 10, 12, tzinfo=UTC)
    chance, sink, rows = random.Random(7), SegmentSink(directory), []
    for number in range(count):
        slow = chance.random() < 0.5
        at = start + timedelta(seconds=10 * number)
        rows.append(
            QueryRow(
                started=int(at.timestamp() * 1e6),
                serial=number + 1,
                agent="crewai",
                user_input="unpaid bills",
                name="answer",
                calls=[],
                duration=int((10_000 if slow else 1000) * math.exp(chance.gauss(0, 0.1)) * 1e6),
                attributes={"country": "de" if slow else "in", "trace": str(number)},
                input_tokens=90,
                output_tokens=10,
                cost_usd=0.002,
            )
        )
    sink.write(rows)
    sink.close()
    return directory


def learned(directory: Path) -> Model:
    with open_store(directory) as opened:
        return renew(directory, opened.tables, 0)


def test_a_prediction_says_duration_tokens_cost_and_from_how_many_queries(tmp_path: Path) -> None:
    model = learned(store(tmp_path / "store"))
    assert model.attribute == "country"
    german = predict("unpaid bills", agent="crewai", attributes={"country": "de"}, directory=tmp_path / "store")
    indian = predict("unpaid bills", agent="crewai", attributes={"country": "in"}, directory=tmp_path / "store")
    assert german.p50_ms == pytest.approx(10_000, rel=0.25)
    assert indian.p50_ms == pytest.approx(1000, rel=0.35)
    assert german.p90_ms is not None
    assert german.p90_ms >= (german.p50_ms or 0)
    assert german.tokens == pytest.approx(100, rel=0.02)
    assert german.cost_usd == pytest.approx(0.002, rel=0.02)
    assert german.failure == 0
    assert 100 <= german.similar <= 200


def test_nothing_is_predicted_from_few_queries_an_unknown_agent_or_no_model(tmp_path: Path) -> None:
    assert predict("q", agent="crewai", directory=tmp_path) == Prediction()
    learned(store(tmp_path / "store", count=prediction.LEAST_SIMILAR - 1))
    assert predict("q", agent="crewai", directory=tmp_path / "store") == Prediction()
    learned(store(tmp_path / "more", count=100))
    assert predict("q", agent="nobody", directory=tmp_path / "more") == Prediction()
    assert predict("q", directory=tmp_path / "more").p50_ms is not None


@pytest.mark.parametrize("content", [b"", b"\x00" * 100, b'{"version": 1}', b"\xff\xfe"])
def test_a_damaged_model_predicts_nothing_and_raises_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE).parent.mkdir()
    (tmp_path / FILE).write_bytes(content)
    assert predict("q", agent="a", directory=tmp_path) == Prediction()


def test_what_was_learned_is_used_at_once(tmp_path: Path) -> None:
    assert predict("q", agent="crewai", directory=tmp_path / "store") == Prediction()
    learned(store(tmp_path / "store"))
    assert predict("q", agent="crewai", directory=tmp_path / "store").p50_ms is not None


def test_a_model_that_another_process_wrote_is_taken_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prediction, "RENEWED_SECONDS", 0.0)
    monkeypatch.setattr("instrument.analysis.learning.drop_loaded", lambda directory: None)
    assert predict("q", agent="crewai", directory=tmp_path / "store") == Prediction()
    learned(store(tmp_path / "store"))
    assert predict("q", agent="crewai", directory=tmp_path / "store").p50_ms is not None


def test_an_empty_store_is_learned_from(tmp_path: Path) -> None:
    tmp_path.joinpath("store").mkdir()
    assert learned(tmp_path / "store").groups == {}
    assert predict("q", directory=tmp_path / "store") == Prediction()


def test_predicting_imports_no_database_and_no_numpy(tmp_path: Path) -> None:
    code = (
        "import sys; from instrument.prediction import predict; predict('q', agent='a');"
        "assert not {'duckdb', '_duckdb', 'numpy', 'rich', 'typer', 'wrapt'} & set(sys.modules), sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, env={**os.environ}, timeout=60)


def test_what_is_evaluated_is_said_whole() -> None:
    found = evaluate([query(number, 100) for number in range(300)])
    assert isinstance(found, Evaluation)
    assert (found.failures_auc, found.queries) == (None, 299)
    assert P90 == "p90"
