"""Weights of any framework in what a file holds, as arrays: what :mod:`export.weights.find` finds, said and read."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, Dict, List, Optional

import numpy as np

from clip2om.export.weights import find
from clip2om.export.weights.find import Candidate, CollisionError, Shapes
from clip2om.export.weights.stored import Stored, of_array
from clip2om.pipeline.errors import RequestError

Say = Callable[[str], None]


def tensors_of(content: Any) -> Any:
    """Return containers of arrays as containers of tensors."""
    if isinstance(content, dict):
        return {name: tensors_of(value) for name, value in content.items()}
    return of_array(content) if isinstance(content, np.ndarray) else content


def choose_where_it_fits(
    content: Any, expected: Shapes, path: Path, average: Optional[bool], say: Optional[Say]
) -> Optional[Candidate]:
    """Return the entry and prefix that give exactly these names and shapes, None where none does.

    Raises:
        RequestError: several do, and nothing tells which is meant.
    """
    try:
        fitting = [candidate for candidate in find.look(content, expected) if candidate.fits]
        if not fitting:
            return None
        chosen, lines = find.choose(fitting, average)
    except CollisionError as error:
        raise RequestError(str(error), path, "keep the entries that are meant, and save them alone") from None
    for line in [*about(chosen), *lines] if say else []:
        say(line)  # type: ignore[misc]
    return chosen


def about(chosen: Candidate) -> List[str]:
    """Return what was done to take weights, and what was left."""
    lines = []
    if chosen.prefix or chosen.path not in ((), ("state_dict",), ("variables",)):
        lines.append(f"weights: {chosen.where()}")
    lines += chosen.notes
    left = [name for name in chosen.left if not find.is_count(name)]
    if left:
        lines.append(f"left behind, inference does not read it: {find.summary(left)}")
    return lines


def locate(
    content: Dict[str, Any], expected: Shapes, path: Path, average: Optional[bool], say: Optional[Say]
) -> Dict[str, np.ndarray]:
    """Return the arrays of a network by its names; where none fit, those of the file as they are.

    Raises:
        RequestError: two networks are in the file.
    """
    chosen = choose_where_it_fits(content, expected, path, average, say)
    if chosen is not None:
        return {name: chosen.state[name].array() for name in expected}
    return {name: value.array() for name, value in content.items() if isinstance(value, Stored)}
