"""A run is remembered: build/CARD/run.json holds what was asked for, and later commands of that model take it.

Gates and what is for one call only (limits, loops, dry runs) are not remembered: see ``remembered`` in the table.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Dict, List, Optional, Tuple

from clip2om import options
from clip2om.commands import all_variables
from clip2om.pipeline import soc
from clip2om.pipeline.artifact import read_json, write_json
from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.records import GraphRecord, find_record
from clip2om.pipeline.typed import from_dict, to_dict
from clip2om.values import Values

FILE_NAME = "run.json"
VERSION = 1


@dataclass(frozen=True)
class Remembered:
    """What a model was last asked for.

    Attributes:
        options: By variable, as they were typed.
        checkpoint_sha256: Digest of the weights that the graph was made from; empty while there is no graph.
    """

    options: Dict[str, List[str]] = field(default_factory=dict)
    checkpoint_sha256: str = ""


def recall(build: Path) -> Remembered:
    """Return what is remembered below ``build``; nothing where there is no such file.

    Raises:
        RequestError: the file is not one of ours, or holds a value that cannot be meant.
    """
    path = build / FILE_NAME
    if not path.is_file():
        return Remembered()
    found = from_dict(Remembered, read_json(path, "run", VERSION, "delete it; nothing else is lost"), path)
    known = all_variables()
    odd = [name for name in found.options if name not in known or not known[name].remembered]
    if odd:
        raise RequestError(f"holds {odd[0]!r}, which is no option that is remembered", path, "delete the file")
    return found


# How a model is compiled for one device and run there says nothing about another.
_OF_A_DEVICE = tuple(
    option.variable for option in (*options.CONVERT, *options.INFER) if option.remembered and option.variable != "SOC"
)


def joined(values: Values, earlier: Remembered) -> Tuple[Values, List[str]]:
    """Return the values of a call with what is remembered beside them, and the variables that were remembered.

    What was remembered for another device than the one that the call names is left.
    """
    taken = {name: tuple(words) for name, words in earlier.options.items() if name not in values.found and words}
    # One batch size and several in one model exclude each other: the newer counts.
    for newer, older in (("BATCH", "DYNAMIC_BATCH"), ("DYNAMIC_BATCH", "BATCH")):
        if newer in values and older not in values.found:
            taken.pop(older, None)
    if "SOC" in values and not _same_device(values.one("SOC"), earlier.options.get("SOC", [])):
        taken = {name: words for name, words in taken.items() if name not in _OF_A_DEVICE}
    return replace(values, found={**taken, **values.found}), sorted(taken)


def _same_device(asked: str, remembered: List[str]) -> bool:
    try:
        return soc.resolve(asked) == soc.resolve(remembered[0] if remembered else soc.AUTO)
    except RequestError:
        return False


def remember(build: Path, values: Values, looking: bool = False) -> None:
    """Write what a call asked for, beside what its graph says about the weights.

    Several batch sizes make one model each: which of them is wanted later is for later to say.

    Args:
        build: Folder of the model's runs.
        values: Of the call, earlier ones included.
        looking: The command looks at a model and makes no run: how it did that stays as it was.
    """
    known = all_variables()
    asked = {
        name: list(words)
        for name, words in sorted(values.found.items())
        if words and known[name].remembered and not (name == "BATCH" and "," in words[0])
    }
    if looking:
        of_a_device = ("SOC", *_OF_A_DEVICE)
        earlier = recall(build).options
        asked = {name: words for name, words in asked.items() if name not in of_a_device}
        asked.update({name: words for name, words in earlier.items() if name in of_a_device})
    graph: Optional[GraphRecord] = find_record(build / "graph" / "model.json", GraphRecord)
    wanted = Remembered(asked, graph.checkpoint_sha256 if graph else "")
    try:
        if recall(build) == wanted:
            return
    except RequestError:
        pass
    write_json(build / FILE_NAME, "run", VERSION, to_dict(wanted))


def line(values: Values, names: List[str], build: Path) -> str:
    """Return the line that says what was remembered and how to have it otherwise."""
    words = []
    for name in names:
        text = " ".join(values.several(name))
        if not values.make and all_variables()[name].switch:
            words.append(values.name(name))
        else:
            words.append(values.spelled(name, f"'{text}'" if " " in text else text))
    how = "NAME= forgets one" if values.make else "--name '' forgets one"
    return f"as remembered in {build / FILE_NAME}: {' '.join(words)} ({how})"
