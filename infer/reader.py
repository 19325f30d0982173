"""Batch files into arrays, ahead of the engine."""

from __future__ import annotations

import hashlib
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Deque, Generator, Iterable

import numpy as np

from infer.groups import Group
from pipeline.errors import RequestError
from pipeline.manifest import BatchFile
from pipeline.tensor import TensorSpec


@dataclass(frozen=True)
class BatchReader:
    """Reads the files of a group into one array.

    Attributes:
        folder: Folder of the batches.
        file: Tensor of one file.
        feed: Tensor of one execution: one file, or several single-clip files; slots without a file are zero.
        verify: Compare every file's SHA-256 with the manifest's.
    """

    folder: Path
    file: TensorSpec
    feed: TensorSpec
    verify: bool = False

    def read(self, group: Group) -> np.ndarray:
        """Return the array of one execution, C order, of shape and dtype ``feed``.

        Raises:
            RequestError: a file is shorter or longer than its tensor, or with ``verify`` is not the manifest's.
        """
        whole = len(group.files) * self.file.batch == self.feed.batch
        array = (np.empty if whole else np.zeros)(self.feed.shape, self.feed.dtype)
        view = array.reshape(-1).view(np.uint8).data
        for index, file in enumerate(group.files):
            self._fill(view[index * self.file.nbytes : (index + 1) * self.file.nbytes], file)
        return array

    def _fill(self, view: memoryview, file: BatchFile) -> None:
        path = self.folder / file.name
        with open(path, "rb") as stream:
            count = stream.readinto(view)
            if count != len(view) or stream.read(1):
                raise RequestError(
                    f"was changed while it was read, {self.file} takes {len(view)} bytes",
                    path,
                    "preprocess again, then run this command again",
                )
        if self.verify:
            _verify(view, file, path)


def _verify(view: memoryview, file: BatchFile, path: Path) -> None:
    found = hashlib.sha256(view).hexdigest()
    if found != file.sha256:
        raise RequestError(
            f"has SHA-256 {found[:12]}..., the manifest says {file.sha256[:12]}...", path, "preprocess again"
        )


def read_ahead(
    read: Callable[[Group], np.ndarray], groups: Iterable[Group], depth: int
) -> Generator[np.ndarray, None, None]:
    """Yield ``read(group)`` for every group, in order, up to ``depth`` of them read beforehand by a second thread."""
    pool = ThreadPoolExecutor(1)
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
