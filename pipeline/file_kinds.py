"""What a file that people take for trained weights is, told by its first bytes and, of archives, by what is in them."""

from __future__ import annotations

import re
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import List, Optional

_STATE = "save the weights: torch.save(model.state_dict(), FILE)"
_UNPACK = "unpack it, and give the file of weights in it"
_GRAPH = "it is a graph and no checkpoint: give it with --graph-file, and a card whose model.framework is {}"
_WEIGHTS = (".pth", ".pt", ".ckpt", ".bin", ".safetensors", ".pth.tar", ".pdparams", ".pyth", ".npz")


@dataclass(frozen=True)
class FileKind:
    """What a file is, as a sentence goes on after its name, and what to do about it.

    Attributes:
        words: Such as ``is an HDF5 file, as Keras writes weights``.
        todo: Advice.
        weights: It may hold weights for one of the frameworks after all: only a door that wants others refuses it.
    """

    words: str
    todo: str
    weights: bool = False


# First bytes of what no framework here reads as weights.
_HEADS = (
    (b"version https://git-lfs", "is a pointer of git-lfs, not the weights", "run git lfs pull where it is from"),
    (b"\x1f\x8b", "is compressed with gzip", _UNPACK),
    (b"BZh", "is compressed with bzip2", _UNPACK),
    (b"\xfd7zXZ", "is compressed with xz", _UNPACK),
    (b"\x28\xb5\x2f\xfd", "is compressed with zstd", _UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "is a 7z archive", _UNPACK),
    (b"Rar!", "is a RAR archive", _UNPACK),
    (b"\x89HDF\r\n\x1a\n", "is an HDF5 file, as Keras writes weights (.h5)", "give weights of the card's framework"),
    (b"\x93NUMPY", "is a single NumPy array", "give a checkpoint with names"),
    (b"\x12\x01\x00\x00\x00\x00\x00\x00", "is a parameter file of MXNet", "give weights of the card's framework"),
    (b"GGUF", "is a GGUF file of llama.cpp", "give weights of the card's framework"),
    (b"\xff\xd8\xff", "is a JPEG image, no weights", "check the path"),
    (b"\x89PNG", "is a PNG image, no weights", "check the path"),
    (b"%PDF", "is a PDF document, no weights", "check the path"),
    (b"IMOD", "is a compiled model of CANN (.om), no weights", "give what it was made from"),
)
_PAGE = re.compile(rb"\s*<(!doctype html|html)", re.IGNORECASE)


def kind_of(path: Path) -> Optional[FileKind]:
    """Return what a file is that is no plain checkpoint, or None where its bytes do not tell."""
    with open(path, "rb") as stream:
        head = stream.read(512)
    for start, words, todo in _HEADS:
        if head.startswith(start):
            return FileKind(words, todo)
    if _PAGE.match(head):
        return FileKind("is a web page, not trained weights", "download the file, not the page about it")
    if head[257:262] == b"ustar":
        return FileKind("is a tar archive", _UNPACK)
    if head[4:8] == b"TFL3":
        return FileKind("is a model of TensorFlow Lite", "give the weights that it was made from")
    if _is_onnx(head):
        return FileKind("is an ONNX graph", _GRAPH.format("onnx"))
    if head.startswith(b"PK") and is_archive(path):
        return _archive(path)
    return None


def is_archive(path: Path) -> bool:
    """Tell whether a file ends as a zip archive does; of one that spans several disks too."""
    try:
        return zipfile.is_zipfile(path)
    except zipfile.BadZipFile:
        return True


def is_pytorch(path: Path) -> bool:
    """Tell whether a file begins as what PyTorch writes: an archive with a pickle, a pickle, or safetensors."""
    with open(path, "rb") as stream:
        head = stream.read(16)
    if head.startswith(b"PK"):
        return kind_of(path) is None
    return head[:1] == b"\x80" or (head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= 100_000_000)


def is_onnx(path: Path) -> bool:
    """Tell whether a file begins as an ONNX graph does."""
    with open(path, "rb") as stream:
        return _is_onnx(stream.read(16))


def _is_onnx(head: bytes) -> bool:
    """Tell whether a message begins with an IR version and then the name of its producer, or imports of opsets."""
    return head[:1] == b"\x08" and len(head) > 3 and 1 <= head[1] <= 20 and head[2:3] in (b"\x12", b"\x3a", b"\x42")


def _archive(path: Path) -> Optional[FileKind]:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except Exception:  # of a damaged directory zipfile raises errors of many kinds
        return FileKind("is a damaged zip archive", "copy it again")
    leaves = {name.rpartition("/")[2] for name in names}
    if "constants.pkl" in leaves or any(re.match(r"[^/]+/code/", name) for name in names):
        return FileKind("is a TorchScript archive", _STATE)
    if "serialized_exported_program.json" in leaves or any("archive_format" in leaf for leaf in leaves):
        return FileKind("is a program of torch.export (.pt2)", _STATE)
    if "data.pkl" in leaves:
        return None
    if {"config.json", "model.weights.h5"} <= leaves:
        return FileKind("is a Keras model (.keras)", "give weights of the card's framework")
    if names and all(name.endswith(".npy") for name in names):
        return FileKind("is an archive of NumPy arrays (.npz)", "make checkpoint FROM=FILE.npz TO=FILE.ckpt", True)
    return _outer(names)


def _outer(names: List[str]) -> FileKind:
    inner = [name for name in names if name.lower().endswith(_WEIGHTS)]
    if inner:
        return FileKind(f"is a zip archive with the file {inner[0]} in it", _UNPACK)
    return FileKind("is a zip archive of something else than weights", "check the path")
