"""Commands beside the chain: they look at what is there, and make none of it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Callable, Dict, List

from clip2om import options
from clip2om.chain_command import make_request
from clip2om.chains import Chain
from clip2om.commands import Command, by_name
from clip2om.environments import Environments
from clip2om.option import Option
from clip2om.pipeline.console import Console
from clip2om.pipeline.errors import RequestError
from clip2om.process import environ_of, run_process, run_step
from clip2om.steps import Step
from clip2om.values import Values


def perform(command: Command, values: Values) -> int:
    """Carry out one of them; return its exit code."""
    run: Dict[str, Callable[[Values], int]] = {
        "compare": _compare,
        "fuse": _fuse,
        "doctor": _doctor,
        "explain": _explain,
        "npu-selftest": _selftest,
        "checkpoint": _checkpoint,
        "card": _card,
    }
    return run[command.name](values)


def _environments(values: Values) -> Environments:
    return Environments.of(values.one("PYTHON"), values.one("VENV"), values.one("VENV_PYTHON"))


def _flags(values: Values, stage: str, *table: Option) -> List[str]:
    words: List[str] = []
    for option in table:
        if stage in option.flags and option.variable in values:
            words += [option.flags[stage], *([] if option.switch else [values.one(option.variable)])]
    return words


def _run(step: Step, values: Values) -> int:
    console, environments = Console("clip2om", "QUIET" in values), _environments(values)
    environments.check([step.environment])
    return run_step(step, environments, console, values.make)


def _compare(values: Values) -> int:
    if not ("A" in values and "B" in values):
        example = "A=build/CARD/results/RUN B=..." if values.make else "clip2om compare build/CARD/results/RUN ..."
        raise RequestError("two runs are needed", None, example)
    words = [values.one("A"), values.one("B"), *_flags(values, "compare", *options.COMPARE, *options.PREPROCESS[:2])]
    words += ["--model", values.one("MODEL")] if "MODEL" in values else []
    quiet = ["--quiet"] if "QUIET" in values else []
    return _run(Step("scripts.compare", (*words, *quiet), "report"), values)


def _fuse(values: Values) -> int:
    if not ("A" in values and "B" in values):
        example = "A=build/CARD/results/RUN B=..." if values.make else "clip2om fuse build/CARD/results/RUN ..."
        raise RequestError("two runs are needed", None, example)
    words = [values.one("A"), values.one("B"), *_flags(values, "fuse", *options.FUSE, *options.PREPROCESS[:2])]
    quiet = ["--quiet"] if "QUIET" in values else []
    return _run(Step("scripts.fuse", (*words, *quiet), "core"), values)


def _present(values: Values) -> str:
    """Return an interpreter without making one: the doctor looks at bare hosts too."""
    ours = _environments(values).interpreter("core")
    return ours if Path(ours).exists() or values.one("PYTHON") else sys.executable


def _doctor(values: Values) -> int:
    words = ["--soc", values.one("SOC", "auto"), *_flags(values, "doctor", *options.DOCTOR)]
    compared = ["--compare", *values.several("COMPARE")] if "COMPARE" in values else []
    command = [_present(values), "-m", "clip2om.scripts.doctor", *words, *compared]
    return run_process(command, environ_of(_environments(values)))


def _explain(values: Values) -> int:
    words = [values.one("CODE")] if "CODE" in values else []
    words += _flags(values, "explain", *options.EXPLAIN)
    model = values.one("MODEL", "3d_resnet")
    graph = Path(values.one("BUILD") or Path("build", model), "graph")
    if (graph / "model.json").is_file():
        words += ["--model", model, "--graph", str(graph)]
    command = [_present(values), "-m", "clip2om.scripts.explain", *words]
    return run_process(command, environ_of(_environments(values)))


def _selftest(values: Values) -> int:
    words = ["--soc", values.one("SOC", "auto"), *_flags(values, "npu_selftest", *options.SELFTEST)]
    torch = _environments(values).interpreter("torch")
    if not values.one("PYTHON") and Path(torch).exists():
        words += ["--export-python", os.path.abspath(torch)]
    return _run(Step("scripts.npu_selftest", tuple(words), "core"), values)


def _checkpoint(values: Values) -> int:
    if not ("FROM" in values and "TO" in values):
        example = "FROM=x.pth TO=x.ckpt" if values.make else "clip2om checkpoint x.pth x.ckpt"
        raise RequestError("weights and what to write are needed", None, f"give {example}")
    source, target = Path(values.one("FROM")), Path(values.one("TO"))
    console = Console("clip2om", "QUIET" in values)
    request = make_request(by_name()["checkpoint"], values, console)
    chain = Chain(request)
    chain.rename(source, target)
    request.environments.check([step.environment for step in chain.steps])
    try:
        for step in chain.steps:
            code = run_step(step, request.environments, console, values.make)
            if code:
                return code
    finally:
        if len(chain.steps) > 1:
            target.with_name(target.name + ".npz").unlink(missing_ok=True)
    return 0


def _new_card(values: Values) -> int:
    """Write a card from a file: what the file is decides which libraries that takes."""
    from clip2om.checks import refuse_what_is_no_checkpoint
    from clip2om.pipeline.file_kinds import is_onnx

    source = Path(values.one("FROM"))
    if not source.is_file():
        raise RequestError("no such file", values.spelled("FROM", str(source)), "check the path")
    graph = is_onnx(source)
    if not graph:
        refuse_what_is_no_checkpoint(source)
    words = [str(source)]
    for variable, flag in (("VIDEOS", "--videos"), ("TO", "--output")):
        words += [flag, values.one(variable)] if variable in values else []
    words += [*(["--make"] if values.make else []), *(["--quiet"] if "QUIET" in values else [])]
    return _run(Step("scripts.card", tuple(words), "drift" if graph else "torch"), values)


def _card(values: Values) -> int:
    from clip2om.pipeline import cards
    from clip2om.pipeline.typed import to_dict

    if "FROM" in values:
        return _new_card(values)
    console = Console("clip2om")
    if "MODEL" not in values:
        for name in cards.available():
            console.result(f"{name:<20} {cards.load(name).title}")
        return 0
    card = cards.load(values.one("MODEL"), values.several("SET"))
    console.result(f"{card.name}: {card.title} ({card.path})")
    for section, content in to_dict(card).items():
        if isinstance(content, dict):
            console.result(f"[{section}]")
            for key, value in content.items():
                console.result(f"  {key} = {value}")
    return 0
