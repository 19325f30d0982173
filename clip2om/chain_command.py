"""A command of the chain, from its values to its last step."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import List, Tuple

from clip2om import memory
from clip2om.chains import Chain, chain_of
from clip2om.checks import check_request, check_steps
from clip2om.commands import Command
from clip2om.environments import Environments
from clip2om.pipeline import cards, soc
from clip2om.pipeline.console import Console
from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.places import build_folder
from clip2om.process import run_step
from clip2om.request import DEMO_CARD, Request
from clip2om.values import Values

DEFAULT_CARD = "3d_resnet"
# They look at a model, each in its way, and make no run that others go on from.
_LOOKING = ("predict", "parity", "drift", "sweep")
_DEMO = {"MODEL": (DEMO_CARD,), "SOC": ("cpu",), "K": ("1",), "MIN_ACCURACY": ("0.85",)}


def perform(command: Command, given: Values) -> int:
    """Plan the chain, check all of it, then run its steps; return the first exit code that is not 0."""
    console = Console("clip2om", "QUIET" in given)
    request = make_request(command, given, console)
    check_request(command.name, request)
    chain = chain_of(command.name, request)
    check_steps(request, chain.steps)
    for note in chain.notes:
        console.say(note)
    code = _run(command, chain, console)
    if code == 0:
        for line in what_next(command, request):
            console.say(line)
    return code


def make_request(command: Command, given: Values, console: Console) -> Request:
    """Return a request: what was given, and what is remembered of the model.

    Raises:
        RequestError: no such card, an override that does not fit it, or no such SOC.
    """
    if command.name == "demo":
        given = replace(given, found={**_DEMO, **given.found})
    if command.name == "quantize":
        given = replace(given, found={**given.found, "PRECISION": ("int8",)})
    model = given.one("MODEL", DEFAULT_CARD)
    name = Path(model).stem if model.endswith(".toml") else model
    build = Path(given.one("BUILD")) if "BUILD" in given else build_folder(name)
    values = given
    if command.name != "demo":
        values, taken = memory.joined(given, memory.recall(build))
        if command.name == "sweep" and values.one("PRECISION") == "int8":
            values, taken = _without_int8(given, values, taken)
        if taken:
            console.say(memory.line(values, taken, build))
    card = cards.load(model, values.several("SET"))
    environments = Environments.of(
        values.one("PYTHON"), values.one("VENV"), values.one("VENV_PYTHON", os.environ.get("CLIP2OM_MAKER", ""))
    )
    return Request(values, given, card, model, build, soc.resolve(values.one("SOC", soc.AUTO)), environments)


def _without_int8(given: Values, values: Values, taken: List[str]) -> Tuple[Values, List[str]]:
    """Leave a remembered int8 out of a sweep, which compiles models of its own in the graph's precision.

    Raises:
        RequestError: this call asked for it.
    """
    if "PRECISION" in given:
        raise RequestError(
            "a sweep measures the graph's own precision",
            given.spelled("PRECISION", "int8"),
            f"leave it out, or measure one int8 model with infer and {given.spelled('LOOP', '20')}",
        )
    found = {name: words for name, words in values.found.items() if name != "PRECISION"}
    return replace(values, found=found), [name for name in taken if name != "PRECISION"]


def _run(command: Command, chain: Chain, console: Console) -> int:
    request = chain.request
    for step in chain.steps:
        code = run_step(step, request.environments, console, request.values.make)
        if code:
            return code
        # What a stage has taken is right: the next command of this model may take it too.
        if "DRY_RUN" not in request.values:
            memory.remember(request.build, request.values, command.name in _LOOKING)
    return 0


def what_next(command: Command, request: Request) -> List[str]:
    """Return the page as a link, and the command that a person would want next."""
    make = request.values.make
    here = f" MODEL={request.model}" if make else f" --model {request.model}"
    lines: List[str] = []
    if command.name in ("demo", "run", "report"):
        page = request.results / "report.html"
        lines.append(f"page: {page.absolute().as_uri()}")
    following = {
        "export": "batches" if make else "preprocess",
        "preprocess": "om" if make else "convert",
        "convert": "infer",
        "infer": "accuracy",
        "accuracy": "report",
        "stream": "report",
        "demo": "predict",
        "run": "predict",
        "report": "predict",
    }.get(command.name)
    if following and "DRY_RUN" not in request.values and "LOOP" not in request.values:
        video = (" VIDEO=some_video.mp4" if make else " some_video.mp4") if following == "predict" else ""
        lines.append(f"next: {'make' if make else 'clip2om'} {following}{here}{video}")
    return lines
