"""Room on the disk for the batches, asked before the first stage: the least that they can take."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from clip2om.pipeline.console import size
from clip2om.pipeline.disk import free
from clip2om.pipeline.errors import RequestError

if TYPE_CHECKING:
    from clip2om.preprocess.entries import Annotation
    from clip2om.request import Request

# The bytes of a value, without NumPy, which the front end does not ask for.
_BYTES = {"uint8": 1, "int8": 1, "float16": 2, "float32": 4, "int32": 4, "int64": 8}


def check_space(request: Request, annotation: Annotation, videos: Path) -> None:
    """Refuse a dataset of which not even one clip of every video fits beside what is there.

    How many clips a video has is known once it is opened; preprocess does that, and asks for the exact room.

    Raises:
        RequestError: with what is needed at least and what is free.
    """
    from clip2om.preprocess.annotations import limited

    values, card = request.values, request.card
    entries = limited(annotation, int(values.one("LIMIT", "0"))).entries
    item = math.prod(card.input.shape) * _BYTES[values.one("DTYPE", card.input.dtype)]
    room = free(request.prepared) + sum(file.stat().st_size for file in request.prepared.glob("*.bin"))
    if len(entries) * item <= room:
        return
    # An annotation may list more than was copied here; looking is a system call or more a video, and rarely needed.
    try:
        from clip2om.preprocess.sources import find_source
    except ImportError:  # NumPy and Pillow are in the stage's environment alone: it looks when its turn comes
        return
    count = sum(1 for entry in entries if find_source(entry, str(videos), card.dataset) is not None)
    if count * item > room:
        fixes = (values.spelled("DTYPE", "uint8"), values.spelled("LIMIT", "N"), values.name("BUILD"))
        raise RequestError(
            f"{size(count * item)} are needed for one clip of each of {count} videos, {size(room)} are free",
            request.prepared,
            f"give {fixes[0]} (a quarter of float32), {fixes[1]} for N videos, or another folder with {fixes[2]}",
        )
