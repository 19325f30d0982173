"""MindSpore checkpoints: read and written by MindSpore's own library, once :mod:`walk` has looked at them."""

from __future__ import annotations

from pathlib import Path
from typing import Callable, Dict, Mapping, Optional

import mindspore
import numpy as np
from mindspore import Parameter, Tensor, nn

from clip2om.export.mindspore.names import is_training_state
from clip2om.export.mindspore.recognition import describe, differences, options_of
from clip2om.export.mindspore.walk import check_content
from clip2om.export.weights import safetensors
from clip2om.export.weights.locate import locate, tensors_of
from clip2om.pipeline.artifact import replacing
from clip2om.pipeline.card import Card
from clip2om.pipeline.errors import RequestError, last_line

SUFFIX = ".ckpt"
# A checkpoint with a checksum ends with this word and ten digits, which are not protobuf.
_CRC, _CRC_DIGITS = b"crc_num", 10
# First bytes of what is often taken for a MindSpore checkpoint.
_OTHERS = {
    b"PK": "a PyTorch checkpoint (or another archive)",
    b"\x80": "a pickle, as PyTorch and Paddle write them",
    b"\x93NUMPY": "a NumPy array",
    b"\x89HDF": "an HDF5 file",
}


def load_weights(
    network: nn.Cell,
    path: Path,
    card: Card,
    average: Optional[bool] = None,
    say: Optional[Callable[[str], None]] = None,
) -> nn.Cell:
    """Load a checkpoint into the card's network and return it; see :mod:`export.weights.find`.

    Raises:
        RequestError: the file is no MindSpore checkpoint, is damaged, or does not fit the card.
    """
    parameters = {parameter.name: parameter for parameter in network.get_parameters()}
    expected = {name: tuple(parameter.shape) for name, parameter in parameters.items()}
    found = locate(tensors_of(read_checkpoint(path)), expected, path, average, say)
    state = {name: value for name, value in found.items() if not is_training_state(name)}
    shapes = {name: value.shape for name, value in state.items()}
    problems = differences({name: parameter.shape for name, parameter in parameters.items()}, shapes)
    if problems:
        raise _misfit(shapes, problems, path, card)
    for name, value in state.items():
        if not np.isfinite(value).all():
            raise RequestError(f"{name} holds NaN or infinite values", path, "take an earlier checkpoint")
        parameters[name].set_data(Tensor(value.astype(np.float32)))
    return network


def read_checkpoint(path: Path) -> Dict[str, np.ndarray]:
    """Return what a checkpoint holds by name, in its order; texts that training stored are left out.

    Raises:
        RequestError: not a MindSpore checkpoint, cut short, damaged, or without parameters.
    """
    if safetensors.is_safetensors(path):
        # mindspore.save_checkpoint(..., format="safetensors"), which needs no library to be read.
        return {name: value.array() for name, value in safetensors.read(path).items() if not value.problem}
    content = _load(path)
    values = {name: value for name, value in content.items() if isinstance(value, Tensor)}
    for name, value in values.items():
        if value.dtype == mindspore.bfloat16:
            raise RequestError(f"{name} is bfloat16, expected float32", path, "save the network as float32")
    return {name: value.asnumpy() for name, value in values.items()}


def write_checkpoint(state: Mapping[str, np.ndarray], path: Path) -> None:
    """Write arrays as a MindSpore checkpoint, whole or not at all."""
    entries = [{"name": name, "data": Parameter(Tensor(value), name=name)} for name, value in state.items()]
    with replacing(path) as temporary:
        mindspore.save_checkpoint(entries, str(temporary))
        # MindSpore leaves it read-only, and it is still to be flushed to the disk.
        temporary.chmod(0o600)


def _load(path: Path) -> Dict[str, object]:
    with open(path, "rb") as stream:
        head = stream.read(16)
        size = stream.seek(0, 2)
        stream.seek(max(0, size - len(_CRC) - _CRC_DIGITS))
        checked = stream.read(len(_CRC)) == _CRC
    other = next((words for start, words in _OTHERS.items() if head.startswith(start)), None)
    if other is not None:
        raise RequestError(
            f"is {other}, expected a MindSpore checkpoint",
            path,
            "rename its weights first: make checkpoint FROM=FILE.pth TO=FILE.ckpt MODEL=CARD",
        )
    if not head:
        raise RequestError("is empty, expected a MindSpore checkpoint", path, "copy it again")
    if path.suffix != SUFFIX:
        raise RequestError(f"MindSpore reads checkpoints by the name *{SUFFIX}", path, f"rename the file to *{SUFFIX}")
    # Every checkpoint begins with an entry, and every entry with its name: 0a, length, 0a. What is none is told below.
    if head[:1] == b"\n" and b"\n" in head[2:8]:
        check_content(path)
    try:
        return mindspore.load_checkpoint(str(path), crc_check=checked)
    except MemoryError:
        raise
    except Exception as error:  # whatever the library makes of damaged bytes
        raise _explain(path, head, size, error) from None


def _explain(path: Path, head: bytes, size: int, error: Exception) -> RequestError:
    reason = str(error)
    if "is empty" in reason:
        return RequestError("holds no parameters, so it is no MindSpore checkpoint", path, "check --checkpoint")
    # The library wraps what it finds into words about permissions.
    if "crc" in f"{error.__cause__}":
        return RequestError("is damaged: its checksum does not match", path, "copy it again")
    if "Failed to read" in reason and head[:1] == b"\n" and b"\n" in head[2:8]:
        return RequestError(f"is cut short at {size} bytes, or damaged", path, "copy it again")
    if "Failed to read" in reason:
        return RequestError("is not a MindSpore checkpoint, or a damaged one", path, "check --checkpoint")
    return RequestError(f"cannot be read by MindSpore ({last_line(error)})", path, "check --checkpoint")


def _misfit(shapes: Mapping[str, tuple], problems: list, path: Path, card: Card) -> RequestError:
    model = card.model
    asked = f"card {card.name} ({model.network} of depth {options_of(card).depth}, {model.classes} classes)"
    seems = describe(shapes)
    todo = "check --checkpoint and --model"
    if any(".running_mean" in name for name in shapes):
        todo = "its names are PyTorch's: make checkpoint FROM=FILE.pth TO=FILE.ckpt MODEL=CARD"
    elif seems is not None and seems.network != model.network:
        todo = f"choose a card of {seems.network}"
    elif seems is not None and seems.shortcut == "B" and seems.depth and seems.changes(options_of(card)):
        todo = "use " + " ".join(f"--set {change}" for change in seems.changes(options_of(card)))
    kind = f"it seems to be {seems}" if seems else "it is neither resnet3d nor r2plus1d"
    return RequestError(f"does not fit {asked}; {'; '.join(problems)}; {kind}", path, todo)
