"""Checkpoints whose dims are not those of their content: refused before MindSpore's reader, which believes them."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Sequence

import numpy as np
import pytest

from clip2om.export.mindspore.checkpoint import read_checkpoint, write_checkpoint
from clip2om.pipeline.errors import RequestError


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _checkpoint(dims: Sequence[int], values: int, packed: bool = False, kind: bytes = b"Float32") -> bytes:
    plain = b"".join(_varint(1 << 3) + _varint(dim) for dim in dims)
    shape = _field(1, b"".join(map(_varint, dims))) if packed else plain
    tensor = shape + _field(2, kind) + _field(3, b"\0\0\x80\x3f" * values)
    return _field(1, _field(1, b"fc.weight") + _field(2, tensor))


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("dims", "values"),
    [
        ((1000, 4), 100),
        ((1000, 4), 0),
        ((0, 4), 4000),
        ((1, 4), 4000),
        ((10**9, 10**9), 1),
        ((-1, 4), 4),
        ((2,) * 40, 1),
        ((1 << 63, 2), 0),
    ],
)
def test_dims_are_compared_with_the_content(dims: Sequence[int], values: int, packed: bool, tmp_path: Path) -> None:
    path = tmp_path / "a.ckpt"
    path.write_bytes(_checkpoint(dims, values, packed))
    with pytest.raises(RequestError, match="damaged"):
        read_checkpoint(path)


def test_every_cut_is_refused(tmp_path: Path) -> None:
    content = _checkpoint((3, 4), 12)
    path = tmp_path / "a.ckpt"
    for length in range(len(content)):
        path.write_bytes(content[:length])
        with pytest.raises(RequestError):
            read_checkpoint(path)
    path.write_bytes(content)
    assert read_checkpoint(path)["fc.weight"].shape == (3, 4)


def test_what_mindspore_writes_passes(tmp_path: Path) -> None:
    state = {
        "scalar": np.float32(2).reshape(()),
        "one": np.ones(1, np.float32),
        "half": np.ones((2, 3), np.float16),
        "count": np.arange(6, dtype=np.int32).reshape(1, 2, 3),
        "truth": np.array([True, False]),
    }
    write_checkpoint(state, tmp_path / "a.ckpt")
    found = read_checkpoint(tmp_path / "a.ckpt")
    assert {name: value.tolist() for name, value in found.items()} == {k: v.tolist() for k, v in state.items()}


def test_flipped_bytes_neither_crash_nor_show_a_trace(tmp_path: Path) -> None:
    random = np.random.default_rng(14)
    good = np.frombuffer(_checkpoint((3, 4), 12) + _checkpoint((5,), 5), np.uint8)
    path = tmp_path / "a.ckpt"
    for _ in range(300):
        content = good.copy()
        content[random.integers(0, len(content), 3)] = random.integers(0, 256, 3)
        path.write_bytes(content.tobytes())
        with contextlib.suppress(RequestError):
            read_checkpoint(path)
