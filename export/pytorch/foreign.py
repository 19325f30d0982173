"""Checkpoints of other frameworks, told by their bytes or names without reading them."""

from __future__ import annotations

import mmap
import re
from pathlib import Path
from typing import List, Optional

from clip2om.pipeline import cards
from clip2om.pipeline.errors import RequestError

_PADDLE_ENTRY = b"StructuredToParameterName@@"
_PADDLE_NAMES = (".pdparams", ".pdopt", ".pdmodel", ".pdiparams")
_TENSORFLOW_NAME = re.compile(r"\.(index|meta|pb|data-\d{5}-of-\d{5})$")
# The last eight bytes of a table file, which the index of a TensorFlow checkpoint is.
_TABLE_MAGIC = bytes.fromhex("57fb808b247547db")
_MINDSPORE_NAMES = (".mindir", ".air")
# Field 1 (a value) of field 1 (its tag): what every MindSpore checkpoint begins with. The lengths are varints.
_MINDSPORE_HEAD = re.compile(rb"\x0a[\x80-\xff]*[\x00-\x7f]\x0a[\x01-\x7f][\x20-\x7e]+\x12")


def framework_of(path: Path) -> Optional[str]:
    """Return the framework that seems to have written a file that PyTorch cannot read, or None."""
    with open(path, "rb") as stream:
        head = stream.read(256)
        stream.seek(max(path.stat().st_size - len(_TABLE_MAGIC), 0))
        tail = stream.read()
    if tail == _TABLE_MAGIC or _TENSORFLOW_NAME.search(path.name):
        return "tensorflow"
    if path.suffix in _PADDLE_NAMES or _holds(path, _PADDLE_ENTRY):
        return "paddle"
    if path.suffix in _MINDSPORE_NAMES or _MINDSPORE_HEAD.match(head):
        return "mindspore"
    return None


def refuse(path: Path, framework: str) -> RequestError:
    """Return the error for a file of another framework, with the cards that take it."""
    name = {"tensorflow": "TensorFlow", "paddle": "Paddle", "mindspore": "MindSpore"}[framework]
    found = cards_of(framework)
    todo = f"use --model {' or '.join(found)}" if found else f"use a card with model.framework {framework}"
    return RequestError(f"seems to be a {name} file, expected a PyTorch checkpoint", path, todo)


def cards_of(framework: str) -> List[str]:
    """Return the names of the cards of a framework; one that does not load is none."""
    names = []
    for name in cards.available():
        try:
            found = cards.load(name).model.framework
        except RequestError:
            continue
        names += [name] if found == framework else []
    return names


def _holds(path: Path, words: bytes) -> bool:
    if not path.stat().st_size:
        return False
    with open(path, "rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return content.find(words) >= 0
