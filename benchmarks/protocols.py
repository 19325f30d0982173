"""Published test protocols in the preprocess stage: ten clips with three crops against bare decoding and one crop."""

from __future__ import annotations

import shutil
from typing import List, Tuple

from clip2om.benchmarks.inputs import cores, dataset
from clip2om.benchmarks.preprocess import KINDS, rate_of, run_stage, write_videos
from clip2om.benchmarks.preprocess_baselines import decode_video, shared_out
from clip2om.benchmarks.row import AT_LEAST, Row, Scale, in_turn

# Kinetics: ten seconds. 30 views of 32 frames of 256x256 are 189 MB a video as uint8.
_VIDEOS, _FRAMES, _ROUNDS = 12, 250, 5
_STAGE = "preprocess of a test protocol"


def rows(scale: Scale) -> List[Row]:
    """Frames per second of SlowFast's 32x2, 10 clips x 3 crops, of H.264 of 340x256; what three crops cost."""
    videos, frames = (2, 40) if scale.quick else (_VIDEOS, _FRAMES)
    work = scale.work / "protocols"
    paths = write_videos(work / "videos", KINDS[0], min(videos, 12), frames)
    data, total = dataset(work, paths, videos, frames), videos * frames
    three, one = _sets("mmaction2-three"), _sets("center-floor")
    full = rate_of(total, lambda: run_stage(data, work / "three", "uint8", *three))
    single = rate_of(total, lambda: run_stage(data, work / "one", "uint8", *one))
    bare = rate_of(total, lambda: shared_out(decode_video, [str(path) for path in paths], cores(), False))
    full(), bare()
    ours, crop, decoding = in_turn([full, single, bare], min(scale.rounds, _ROUNDS))
    note = f"{videos} videos of {frames} frames, {cores()} processes, their start included; all frames are used"
    shutil.rmtree(work)
    return [
        Row(
            _STAGE,
            "10 x 3 views of 32x2, 256 pixels, uint8 against bare decoding",
            "frames/s",
            ours,
            decoding,
            1 / 1.4,
            AT_LEAST,
            note,
        ),
        Row(_STAGE, "three crops against one, the same clips, uint8", "frames/s", ours, crop, 1 / 1.3, AT_LEAST, note),
    ]


def _sets(crop: str) -> Tuple[str, ...]:
    entries = (
        *("clips.sampler=mmaction2-0x", "clips.frames=32", "clips.interval=2", "clips.count=10", "clips.max_clips=0"),
        *("transform.resize=256", "transform.size=256", "transform.kernel=cv2-linear", "transform.rounding=nearest"),
        *(f"transform.crop={crop}", "input.shape=[3, 32, 256, 256]", "input.batch=3"),
    )
    return tuple(word for entry in entries for word in ("--set", entry))
