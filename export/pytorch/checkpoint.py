"""PyTorch checkpoints into networks, without running anything that the file may hold."""

from __future__ import annotations

import re
import warnings
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Optional

import torch
from torch import Tensor, nn

from clip2om.export.pytorch import foreign
from clip2om.export.pytorch.recognition import asked, contradicts, describe, differences
from clip2om.export.pytorch.renaming import from_2018_densenet
from clip2om.pipeline.card import Card
from clip2om.pipeline.errors import RequestError

_WRAPPER = "module."
_RESAVE = "if you trust the file, save its weights alone: torch.save(model.state_dict(), FILE)"


@dataclass(frozen=True)
class Checkpoint:
    """The weights of a file by name, floating-point ones as float32, and the ``arch`` it was saved with, if any."""

    state: Dict[str, Tensor]
    arch: Optional[str]


def load_weights(network: nn.Module, path: Path, card: Card) -> nn.Module:
    """Load a checkpoint into the card's network and return it.

    Raises:
        RequestError: the file is no checkpoint, needs more than weights to be unpickled, or does not fit the card.
    """
    checkpoint = read_checkpoint(path)
    expected = network.state_dict()
    problems = differences(expected, checkpoint.state)
    if contradicts(checkpoint.arch, card):
        problems.insert(0, f"arch is {checkpoint.arch!r}")
    if problems:
        seems, todo = describe(checkpoint.state, card)
        raise RequestError(f"does not fit {asked(card)}; {'; '.join(problems)}; it seems to be {seems}", path, todo)
    _check_values(checkpoint.state, path)
    # The network's own entries stand in for the counts of batches that old checkpoints lack.
    network.load_state_dict({**expected, **checkpoint.state})
    return network


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a state dict, bare or in a container ``{'state_dict': ..., 'arch' or 'meta' or what else there is: ...}``.

    Only tensors and plain containers are unpickled. One leading ``module.``, which data-parallel training puts before
    every name, is taken off, and names of older releases become those of the networks.

    Raises:
        RequestError: no such file, not a checkpoint, damaged, or holding objects other than weights.
    """
    content = _unpickle(path)
    container = content if isinstance(content, dict) else {}
    state = container.get("state_dict", container)
    if not _is_state_dict(state):
        raise RequestError(f"holds no state dict but {_say(content)}", path, _RESAVE)
    state = {name[len(_WRAPPER) :] if name.startswith(_WRAPPER) else name: value for name, value in state.items()}
    arch = container.get("arch")
    state = from_2018_densenet(state)
    weights = {name: value.float() if value.is_floating_point() else value for name, value in state.items()}
    return Checkpoint(weights, arch if isinstance(arch, str) else None)


def _unpickle(path: Path) -> Any:
    try:
        with warnings.catch_warnings():
            # Said of files that are not checkpoints at all; the error below says it better.
            warnings.filterwarnings("ignore", message="Detected pickle protocol|'torch.load' received a zip file")
            return torch.load(path, map_location="cpu", weights_only=True)
    except MemoryError:
        raise
    except Exception as error:  # a malformed pickle can raise anything
        raise _explain(path, str(error)) from None


def _explain(path: Path, reason: str) -> RequestError:
    framework = foreign.framework_of(path)
    if framework is not None:
        return foreign.refuse(path, framework)
    forbidden = re.search(r"GLOBAL (\S+) (?:was not an allowed|whose module)", reason)
    if forbidden:
        return RequestError(f"refused: to load it is to run {forbidden[1]}, which is no weight", path, _RESAVE)
    if "TorchScript" in reason:
        return RequestError("is a TorchScript archive, expected a state dict", path, _RESAVE)
    with open(path, "rb") as stream:
        head = stream.read(2)
    if not head or "unexpected EOF" in reason or (head == b"PK" and not zipfile.is_zipfile(path)):
        return RequestError(f"is cut short at {path.stat().st_size} bytes", path, "copy it again")
    return RequestError("is not a PyTorch checkpoint, or a damaged one", path, "check --checkpoint")


def _check_values(state: Dict[str, Tensor], path: Path) -> None:
    for name, value in state.items():
        if not torch.isfinite(value).all():
            raise RequestError(f"{name} holds NaN or infinite values", path, "take an earlier checkpoint")


def _is_state_dict(state: object) -> bool:
    if not isinstance(state, dict) or not state:
        return False
    return all(isinstance(name, str) and isinstance(value, Tensor) for name, value in state.items())


def _say(content: object) -> str:
    state = content.get("state_dict", content) if isinstance(content, dict) else None
    odd = [] if not isinstance(state, dict) else [item for item in state.items() if not isinstance(item[1], Tensor)]
    if isinstance(state, dict) and 0 < len(odd) < len(state):
        name, value = odd[0]
        return f"a dict whose entry {name!r} is of type {type(value).__name__}"
    if isinstance(content, dict):
        return f"a dict with the keys {', '.join(map(repr, list(content)[:5]))}" if content else "an empty dict"
    return f"an object of type {type(content).__name__}"
