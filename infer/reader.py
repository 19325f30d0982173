"""Batch files into arrays, ahead of the engine."""

from __future__ import annotations

import hashlib
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Callable, Deque, Generator, Iterable

import numpy as np

from clip2om.infer.groups import Group
from clip2om.pipeline.artifact import sha256_file
from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.manifest import BatchFile
from clip2om.pipeline.opening import open_regular
from clip2om.pipeline.tensor import TensorSpec

# One alone cannot keep up with a fast device: a batch may be tens of megabytes.
_READERS = 2


def _allocate(spec: TensorSpec) -> np.ndarray:
    return np.empty(spec.shape, spec.dtype)


@dataclass(frozen=True)
class BatchReader:
    """Reads the files of a group into one array.

    Attributes:
        folder: Folder of the batches.
        file: Tensor of one file.
        feed: Tensor of one execution: one file, or several single-clip files; slots without a file are zero.
        verify: Compare every file's SHA-256 with the manifest's.
        allocate: Gives the array to read into.
    """

    folder: Path
    file: TensorSpec
    feed: TensorSpec
    verify: bool = True
    allocate: Callable[[TensorSpec], np.ndarray] = _allocate

    def read(self, group: Group) -> np.ndarray:
        """Return the array of one execution, C order, of shape and dtype ``feed``.

        Raises:
            RequestError: a file is shorter or longer than its tensor, or with ``verify`` is not the manifest's.
        """
        array = self.allocate(self.feed)
        view = array.reshape(-1).view(np.uint8).data
        for index, file in enumerate(group.files):
            self._fill(view[index * self.file.nbytes : (index + 1) * self.file.nbytes], file)
        array[len(group.files) * self.file.shape[0] :] = 0
        return array

    def _fill(self, view: memoryview, file: BatchFile) -> None:
        path = self.folder / file.name
        with open_regular(path) as stream:
            count = _fill_from(stream, view)
            if count != len(view) or stream.read(1):
                raise RequestError(
                    f"was changed while it was read, {self.file} takes {len(view)} bytes",
                    path,
                    "preprocess again, then run this command again",
                )
        if self.verify:
            _verify(view, file, path)


def _fill_from(stream: BinaryIO, view: memoryview) -> int:
    """Read until the view is full or the file ends, and return the number of bytes."""
    done = 0
    while done < len(view):
        count = stream.readinto(view[done:])  # type: ignore[attr-defined]
        if not count:
            break
        done += count
    return done


def _verify(view: memoryview, file: BatchFile, path: Path) -> None:
    _compare(hashlib.sha256(view).hexdigest(), file, path)


def verify_file(path: Path, file: BatchFile) -> None:
    """Compare the SHA-256 of a batch file with the manifest's.

    Raises:
        RequestError: they differ.
    """
    _compare(sha256_file(path), file, path)


def verify_files(folder: Path, files: Iterable[BatchFile]) -> None:
    """Compare the SHA-256 of batch files with the manifest's, several at a time.

    Raises:
        RequestError: one differs.
    """
    with ThreadPoolExecutor(_READERS) as pool:
        for _ in pool.map(lambda file: verify_file(folder / file.name, file), files):
            pass


def _compare(found: str, file: BatchFile, path: Path) -> None:
    if found != file.sha256:
        raise RequestError(
            f"has SHA-256 {found[:12]}..., the manifest says {file.sha256[:12]}...",
            path,
            "preprocess again: it makes anew what was altered",
        )


def read_ahead(
    read: Callable[[Group], np.ndarray], groups: Iterable[Group], depth: int
) -> Generator[np.ndarray, None, None]:
    """Yield ``read(group)`` for every group, in order, up to ``depth`` of them read beforehand by other threads."""
    pool = ThreadPoolExecutor(_READERS)
    pending: Deque[Future[np.ndarray]] = deque()
    try:
        for group in groups:
            pending.append(pool.submit(read, group))
            if len(pending) > depth:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        for future in pending:
            future.cancel()
        pool.shutdown()
