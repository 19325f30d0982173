"""Advice that works where it is read: commands and requirements have other names in an installation."""

from __future__ import annotations

import os
import re
from typing import Match

from clip2om.pipeline.places import CHECKOUT

# Set by the front end where make is the door: how its variables call the options of this command, as
# ``--checkpoint=CHECKPOINT --strict=STRICT=1``.
DOOR = "CLIP2OM_DOOR"
# What follows an option in an advice and is its value, not the next word of the sentence.
_VALUE = r"(?:[= ](?=[A-Z0-9./'\"{<]|\w+[._]\w*=|(?:uint8|float32|int8|bf16|f32|cpu|auto|none|acl|onnx|openvino)\b))"
_ROOM = re.compile(r"\bpython -m (?=(?:convert|export|infer|postprocess|preprocess|scripts)\b)")
_ENVIRONMENT = re.compile(r"\bmake \.venv/\w+/\.ready, (?:or |then )")
_FILES = re.compile(r"-r requirements/\w+\.txt(?: -r requirements/\w+\.txt)*")
# Files of requirements/ whose extra in setup.py has another name.
_EXTRAS = {"core": "cpu", "openvino": "cpu", "quantize": "int8"}


def local(text: str, checkout: bool = CHECKOUT) -> str:
    """Return ``text``, written for the folder of a checkout, as it is right on this host.

    In an installation ``python -m export`` is ``python -m clip2om.export``, a file of requirements/ is an extra, and
    there is no make.
    """
    if checkout:
        return text
    text = _ENVIRONMENT.sub("", _ROOM.sub("python -m clip2om.", text))
    return _FILES.sub(_extras, text)


def _extras(match: Match[str]) -> str:
    names = re.findall(r"requirements/(\w+)\.txt", match.group())
    extras = dict.fromkeys(_EXTRAS.get(name, name) for name in names)
    return f"'clip2om[{','.join(extras)}]'"


def at_door(text: str) -> str:
    """Return ``text`` with its reader's options: at make's door ``--checkpoint FILE`` is ``CHECKPOINT=FILE``."""
    for pair in os.environ.get(DOOR, "").split():
        flag, _, variable = pair.partition("=")
        alone = rf"(?<![\w-]){flag}(?![\w-])"
        text = text if "=" in variable else re.sub(alone + _VALUE, f"{variable}=", text)
        text = re.sub(alone, variable, text)
    return text
