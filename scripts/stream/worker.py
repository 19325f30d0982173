"""What one decoding process of a stream does: the clips of one video into their slots in shared memory."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Optional, Tuple

import numpy as np

from clip2om.preprocess.errors import BadVideoError
from clip2om.preprocess.sampling import Clip
from clip2om.preprocess.sources import Source
from clip2om.preprocess.worker import Recipe, iter_clips, watch_parent
from clip2om.scripts.stream.ring import Mailbox, StoppedError

_mailbox: Optional[Mailbox] = None


@dataclass(frozen=True)
class Decode:
    """One video: its number, and per clip the frames, the number of the batch, the slot in it, and the crop."""

    video: int
    source: Source
    clips: Tuple[Tuple[Clip, int, int, int], ...]
    recipe: Recipe


def begin(mailbox: Mailbox) -> None:
    """Prepare a new process: it ends with its parent."""
    global _mailbox
    watch_parent()
    # Inference has the cores too; decoding is to feed it, not to hold it up.
    os.nice(1)
    _mailbox = mailbox


def decode(task: Decode) -> None:
    """Put all clips of one video into their slots; where it turns out unusable, tell."""
    assert _mailbox is not None, "begin() comes first"
    _mailbox.start()
    clip = np.empty(task.recipe.shape, task.recipe.dtype)
    try:
        try:
            shown, crops = [clip[0] for clip in task.clips], [clip[3] for clip in task.clips]
            for index, _ in iter_clips(task.source, shown, task.recipe, lambda _: clip, crops):
                _, batch, slot, _ = task.clips[index]
                _mailbox.put(batch, slot, clip)
        except BadVideoError as reason:
            _mailbox.refuse(task.video, str(reason))
    except StoppedError:
        pass
