"""Checkpoints of a few bytes that ask for gigabytes, or for centuries: refused in one line, at once."""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
from pathlib import Path
from typing import Callable

import numpy as np
import pytest
import torch

from clip2om.export.paddle.pdparams import read_state
from clip2om.export.pytorch.checkpoint import read_checkpoint
from clip2om.pipeline.errors import RequestError
from tests.hostile.fuzz import bounded_memory

_READERS = (read_state, read_checkpoint)
_NDARRAY = b"\x80\x02}(X\x01\x00\x00\x00acnumpy\nndarray\n(J\x00\xca\x9a;tq\x00Ru."


def _array(code: bytes, flags: bytes) -> bytes:
    """Return a dict of one array whose dtype has flags of its own."""
    good = pickle.dumps({"a": np.arange(3)}, 2)
    return good.replace(b"i8", code).replace(b"K\x00t", flags + b"t")


@pytest.mark.parametrize("read", _READERS)
@pytest.mark.parametrize(
    "data",
    [
        b"}r\xff\xff\xff\x7f.",
        b"}p2147483647\n.",
        b"\x80\x04\x95" + struct.pack("<Q", 1 << 40) + b"}.",
        b"\x80\x04\x8e" + struct.pack("<Q", 1 << 40) + b"a.",
        b"\x80\x04\x8d" + struct.pack("<Q", 1 << 62) + b"a.",
        b"\x80\x05\x96" + struct.pack("<Q", 1 << 40) + b"a.",
        _NDARRAY,
    ],
)
def test_pickles_get_no_memory_on_their_word(data: bytes, read: Callable[[Path], object], tmp_path: Path) -> None:
    (tmp_path / "a.pdparams").write_bytes(data)
    with bounded_memory(), pytest.raises(RequestError):
        read(tmp_path / "a.pdparams")


def test_a_dtype_has_no_flags_of_a_file(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "a.pdparams").write_bytes(_array(b"i8", b"K\x3f"))
    assert read_state(tmp_path / "a.pdparams")["a"].tolist() == [0, 1, 2]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_arrays_come_whole_out_of_pdparams(protocol: int, tmp_path: Path) -> None:
    rows = np.arange(6.0).reshape(2, 3)
    state = {
        "c": rows,
        "fortran": np.asfortranarray(rows),
        "big": rows.astype(">f4"),
        "n": np.arange(3),
        "s": rows[1, 1],
    }
    state["s"] = np.array(state["s"])
    (tmp_path / "a.pdparams").write_bytes(pickle.dumps(state, protocol))
    found = read_state(tmp_path / "a.pdparams")
    assert {name: value.tolist() for name, value in found.items()} == {n: v.tolist() for n, v in state.items()}
    assert found["n"].dtype == np.int64 and found["big"].dtype == np.float32


def test_containers_of_containers_end(tmp_path: Path) -> None:
    content: object = torch.ones(1)
    for _ in range(9):
        content = [content] * 64
    torch.save(content, tmp_path / "a.pth")
    with pytest.raises(RequestError, match="containers of containers"):
        read_checkpoint(tmp_path / "a.pth")


def test_a_number_is_not_repeated_without_measure(tmp_path: Path) -> None:
    torch.save({"fc.weight": torch.ones(1).expand(1 << 31)}, tmp_path / "a.pth")
    with bounded_memory(), pytest.raises(RequestError, match="of which the file has 1"):
        read_checkpoint(tmp_path / "a.pth")
    torch.save({"fc.weight": torch.ones(1).expand(8)}, tmp_path / "a.pth")
    assert read_checkpoint(tmp_path / "a.pth").state["fc.weight"].tolist() == [1.0] * 8


def test_an_archive_is_not_unpacked_beyond_a_sane_size(tmp_path: Path) -> None:
    stream = io.BytesIO()
    torch.save({"fc.weight": torch.ones(2)}, stream)
    with zipfile.ZipFile(stream) as good, zipfile.ZipFile(tmp_path / "a.pth", "w", zipfile.ZIP_DEFLATED) as made:
        for name in good.namelist():
            with made.open(name, "w") as member:
                member.write(good.read(name))
                for _ in range(128 if "/data/" in name else 0):
                    member.write(bytes(1 << 20))
    with bounded_memory(), pytest.raises(RequestError, match="insane size"):
        read_checkpoint(tmp_path / "a.pth")
