"""How a backend runs: in this process, in one process per device, or as a program of its own."""

from __future__ import annotations

from dataclasses import replace

from clip2om.infer.delegate import delegate
from clip2om.infer.devices import share
from clip2om.infer.engines.base import Backend, Engine
from clip2om.infer.engines.tool import Tool
from clip2om.infer.execute import stream
from clip2om.infer.power import PowerMeter
from clip2om.infer.task import Hooks, Outcome, Task


def carry_out(backend: Backend, task: Task, hooks: Hooks) -> Outcome:
    """Run ``task`` on ``backend``.

    Raises:
        RequestError: the backend cannot load or run the model, or a batch cannot be used.
    """
    if "om" not in backend.formats:
        return _carry_out(backend, task, hooks)
    meter = PowerMeter(backend.options.devices or (0,))
    with meter.running():
        outcome = _carry_out(backend, task, hooks)
    observed = {name: dict(found) for name, found in outcome.observed.items()}
    for device, watts in meter.seen().items():
        observed.setdefault(str(device), {})["power"] = watts
    return replace(outcome, observed=observed)


def _carry_out(backend: Backend, task: Task, hooks: Hooks) -> Outcome:
    if isinstance(backend, Tool):
        return delegate(backend, task, hooks)
    if not isinstance(backend, Engine):
        raise TypeError(f"{backend.name} is neither an engine nor a tool")
    return share(backend, task, hooks) if len(backend.options.devices) > 1 else stream(backend, task, hooks)
