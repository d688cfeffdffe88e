"""PydanticAI: a run of an agent is a query, and what it asks of tools are its calls.

It comes from PydanticAI's own instrumentation, switched on with a tracer of ours that exports nothing. An application
that has it on already, for its own OpenTelemetry, keeps its spans as they are, and they are read. An agent that has it
switched off (`agent.instrument = False`) is not recorded.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import Any

from instrument.integrations._patches import Patches
from instrument.integrations._reported import RunTracker


def hook_in(patches: Patches, pydantic_ai: ModuleType) -> None:
    """Be told of every agent's runs, whatever instrumentation the application has chosen."""
    tracer = import_module("instrument.integrations._pydantic_tracer").Tracer
    agent, settings = pydantic_ai.Agent, pydantic_ai.InstrumentationSettings
    reported = RunTracker("pydantic_ai", names_parents=False)

    def settled(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> None:
        wrapped(*args, **kwargs)
        instance.tracer = tracer(instance.tracer, reported)

    def switched(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> None:
        wrapped(*args, **kwargs)
        if not agent._instrument_default:
            wrapped(ours)

    before = agent._instrument_default
    if isinstance(before, settings):
        patches.set(before, "tracer", tracer(before.tracer, reported))
    patches.wrap(settings, "__init__", settled)
    ours = _own_settings(settings)
    if not before:
        agent.instrument_all(ours)
    patches.wrap(agent, "instrument_all", switched)
    patches.when_undone(lambda: agent.instrument_all(before) if agent._instrument_default is ours else None)
    patches.when_undone(reported.stop)


def _own_settings(settings: Any) -> Any:
    """Settings that write nothing down for anybody but us: no metrics, no images, the least of everything else."""
    return settings(
        tracer_provider=import_module("opentelemetry.trace").NoOpTracerProvider(),
        meter_provider=import_module("opentelemetry.metrics").NoOpMeterProvider(),
        include_binary_content=False,
        include_model_request_parameters=False,
        version=6,
    )
