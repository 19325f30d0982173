"""Batches in memory that several processes share: workers fill slots, the parent feeds whole batches to an engine.

The memory is an anonymous file (memfd): it has no name that could be left behind, no limit but that of the machine
(/dev/shm is 64 MB in most containers), and its pages belong to no process twice. Workers write into it with pwrite and
tell the parent through a pipe, in lines short enough that the kernel does not cut them. Nobody holds a lock, so a
process that is killed leaves nobody waiting.
"""

from __future__ import annotations

import json
import mmap
import os
import select
import struct
import time
from dataclasses import dataclass
from multiprocessing import reduction
from typing import Any, Iterator, List, Optional, Tuple

import numpy as np

from clip2om.pipeline.tensor import TensorSpec

_PAGE = mmap.PAGESIZE
_STOP = -1
_POLL_S = 0.001
# A pipe takes lines up to this whole (POSIX: at least 512 bytes).
_LINE = 512


@dataclass(frozen=True)
class Note:
    """What a worker tells the parent.

    Attributes:
        batch: Number of the batch that has ``count`` more clips, or None where a video turned out unusable.
        video: Number of that video.
        reason: Why.
        busy_s: Seconds that the worker decoded since its last note.
        blocked_s: Seconds that it waited for room since then.
    """

    batch: Optional[int]
    count: int
    video: Optional[int]
    reason: str
    busy_s: float
    blocked_s: float


class StoppedError(Exception):
    """The run has been given up."""


class Mailbox:
    """What a worker needs of the ring; can be sent to a process that is being started.

    Attributes:
        spec: Tensor of one batch.
        depth: Batches in memory at the same time.
    """

    def __init__(self, spec: TensorSpec, depth: int, memory: int, pipe: int) -> None:
        self.spec = spec
        self.depth = depth
        self._memory = memory
        self._pipe = pipe
        self._clip = spec.nbytes // spec.clips
        self._busy_from = time.perf_counter()
        self._blocked = 0.0

    def __reduce__(self) -> Tuple[Any, ...]:
        duplicates = (reduction.DupFd(self._memory), reduction.DupFd(self._pipe))
        return _received, (self.spec, self.depth, *duplicates)

    def start(self) -> None:
        """Count the worker as busy from now on."""
        self._busy_from, self._blocked = time.perf_counter(), 0.0

    def put(self, batch: int, slot: int, clip: np.ndarray) -> None:
        """Write a clip as soon as its batch has room, and tell.

        Raises:
            StoppedError: the run has been given up.
        """
        self._wait_for_room(batch)
        view = clip.reshape(-1).view(np.uint8).data
        offset = _PAGE + (batch % self.depth) * _stride(self.spec) + slot * self._clip
        done = 0
        while done < len(view):
            done += os.pwrite(self._memory, view[done:], offset + done)
        self._tell({"batch": batch, "count": 1})

    def refuse(self, video: int, reason: str) -> None:
        """Tell that a video cannot be used."""
        self._tell({"video": video, "reason": reason})

    def _wait_for_room(self, batch: int) -> None:
        start = time.perf_counter()
        while True:
            (head,) = struct.unpack("q", os.pread(self._memory, 8, 0))
            if head == _STOP:
                raise StoppedError
            if batch < head + self.depth:
                break
            time.sleep(_POLL_S)
        self._blocked += time.perf_counter() - start

    def _tell(self, message: dict) -> None:
        now = time.perf_counter()
        times = {"busy": round(now - self._busy_from - self._blocked, 6), "blocked": round(self._blocked, 6)}
        self._busy_from, self._blocked = now, 0.0
        line = json.dumps({**message, **times})
        while len(line) >= _LINE:
            message = {**message, "reason": message["reason"][: len(message["reason"]) // 2]}
            line = json.dumps({**message, **times})
        try:
            os.write(self._pipe, f"{line}\n".encode("ascii"))
        except BrokenPipeError:
            raise StoppedError from None


class Ring:
    """The parent's side: use it as a context manager.

    Attributes:
        mailbox: For the workers.
    """

    def __init__(self, spec: TensorSpec, depth: int) -> None:
        self._spec = spec
        self._depth = depth
        self._memory = os.memfd_create("clip2om", os.MFD_CLOEXEC)
        os.ftruncate(self._memory, _PAGE + depth * _stride(spec))
        self._map = mmap.mmap(self._memory, 0)
        self._pipe, sender = os.pipe()
        os.set_blocking(self._pipe, False)
        self._sender = sender
        self._rest = b""
        self.mailbox = Mailbox(spec, depth, self._memory, sender)

    def __enter__(self) -> Ring:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        os.close(self._memory)
        os.close(self._sender)

    def batch(self, number: int) -> np.ndarray:
        """Return the memory of batch ``number``, of shape and dtype of the tensor; no copy."""
        offset = _PAGE + (number % self._depth) * _stride(self._spec)
        count = int(np.prod(self._spec.shape))
        return np.frombuffer(self._map, self._spec.dtype, count, offset).reshape(self._spec.shape)

    def release(self, head: int) -> None:
        """Let workers write over every batch before ``head``."""
        os.pwrite(self._memory, struct.pack("q", head), 0)

    def stop(self) -> None:
        """Let workers give up, those that wait for room and those that cannot get rid of a note."""
        if self._pipe >= 0:
            self.release(_STOP)
            os.close(self._pipe)
            self._pipe = -1

    def notes(self, seconds: float) -> List[Note]:
        """Return what workers have told, waiting up to ``seconds`` for the first note."""
        if not select.select([self._pipe], [], [], seconds)[0]:
            return []
        return list(self._read())

    def _read(self) -> Iterator[Note]:
        *lines, self._rest = (self._rest + os.read(self._pipe, 1 << 16)).split(b"\n")
        for line in lines:
            told = json.loads(line)
            yield Note(
                told.get("batch"),
                told.get("count", 0),
                told.get("video"),
                told.get("reason", ""),
                told["busy"],
                told["blocked"],
            )


def _received(spec: TensorSpec, depth: int, memory: Any, pipe: Any) -> Mailbox:
    return Mailbox(spec, depth, memory.detach(), pipe.detach())


def _stride(spec: TensorSpec) -> int:
    """Return the bytes from one batch to the next: whole pages, so that every batch is aligned."""
    return -(-spec.nbytes // _PAGE) * _PAGE
