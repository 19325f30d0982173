"""Which input files make which batch [S]."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Any, List, Sequence

import numpy as np

from ais_bench.infer.generation import log

_SUFFIXES = (".npy", ".NPY", ".bin", ".BIN")


@dataclass
class Batch:
    """The files of one execution: one list per input, padded to the same length; ``real`` of them count."""

    files: List[List[str]]
    real: int


def natural(name: str) -> List[Any]:
    """Sort key: digits by value, letters without case."""
    return [int(part) if part.isdigit() else part.lower() for part in re.split(r"(\d+)", name)]


def list_files(argument: str, inputs: int) -> List[List[str]]:
    """Return the files of each input.

    Raises:
        RuntimeError: their number does not fit, or a folder without a valid file.
    """
    paths = argument.split(",")
    if all(os.path.isfile(path) for path in paths):
        return _from_files(paths, inputs)
    if all(os.path.isdir(path) for path in paths):
        return _from_folders(paths, inputs)
    log("ERROR", f"args input are not all files or all dirs: {paths}")
    raise RuntimeError(f"error args input: {argument}")


def _from_files(paths: List[str], inputs: int) -> List[List[str]]:
    # All files of input 0 come first: contiguous parts, not every n-th.
    if len(paths) % inputs:
        log("ERROR", f"fileslist:{paths} intensor:{inputs} not match")
        raise RuntimeError(f"error files list: {paths}")
    part = len(paths) // inputs
    return [paths[i * part : (i + 1) * part] for i in range(inputs)]


def _from_folders(paths: List[str], inputs: int) -> List[List[str]]:
    if len(paths) != inputs:
        log("ERROR", f"dirslist:{paths} intensor:{inputs} not match")
        raise RuntimeError(f"error dirs list: {paths}")
    found = []
    for folder in paths:
        names = [name for name in os.listdir(folder) if name.endswith(_SUFFIXES)]
        if not names:
            log("ERROR", f"{folder} of input args not find valid file,valid file format:[*.npy *.NPY *.bin *.BIN]")
            raise RuntimeError(f"{folder} of input args not find valid file")
        found.append([os.path.join(folder, name) for name in sorted(names, key=natural)])
    return found


def read(path: str) -> np.ndarray:
    """Return a file's content: of .npy the array, of .bin the bytes."""
    if path.endswith((".npy", ".NPY")):
        return np.load(path)
    return np.fromfile(path, np.int8)


def group(files: List[List[str]], tensor_size: int, single: bool) -> List[Batch]:
    """Cut the lists into batches; the last one is filled with its own first file.

    Raises:
        RuntimeError: the first file does not divide the tensor.
    """
    first = files[0]
    size = read(first[0]).nbytes
    per_batch = 1 if single else tensor_size // size if size else 0
    if not per_batch or (not single and tensor_size % size):
        log("ERROR", f"arg0 tensorsize: {tensor_size} filesize: {size} not match")
        raise RuntimeError(f"arg0 tensorsize: {tensor_size} filesize: {size} not match")
    runs = -(-len(first) // per_batch)
    log(
        "INFO",
        f"get filesperbatch files0 size:{size} tensor0size:{tensor_size} filesperbatch:{per_batch} runcount:{runs}",
    )
    return [_batch(files, run * per_batch, per_batch) for run in range(runs)]


def _batch(files: Sequence[List[str]], start: int, count: int) -> Batch:
    real = min(count, len(files[0]) - start)
    # A later input with fewer files ends in an IndexError, as in the real tool; extra ones are never looked at.
    chosen = [[entry[start + i] for i in range(real)] for entry in files]
    return Batch([part + [part[0]] * (count - real) for part in chosen], real)
