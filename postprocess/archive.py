"""``scores.npz``: all clip scores and what belongs to them, so that metrics can be computed again without inference.

Members (plain arrays, no pickle; the same scores give the same bytes):

    logits      float32 (clips, classes)   as the model wrote them, before any activation
    clip_video  int32 (clips,)             index of the clip's video, ascending
    video_ids   text (videos,)
    truth       int32 (videos,)            class index, -1 where the annotation gives none
    counted     bool (videos,)             the video is in the subset
    labels      text (classes,)            class names in column order
    about       uint8 (bytes,)             JSON, UTF-8: format version, videos without scores, conditions
"""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any, Dict, List

import numpy as np

from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.typed import from_dict, to_dict
from clip2om.postprocess.scores import Absent, Origin, Scores

VERSION = 1
_EPOCH = (1980, 1, 1, 0, 0, 0)
_MEMBERS = ("logits", "clip_video", "video_ids", "truth", "counted", "labels", "about")
_TODO = "run python -m postprocess on the score folder again"


def to_bytes(scores: Scores) -> bytes:
    """Return the archive; members carry no time, so that equal scores are equal bytes."""
    about = {
        "kind": "clip2om.clip-scores",
        "version": VERSION,
        "absent": to_dict(scores.absent),
        "origin": to_dict(scores.origin),
    }
    text = json.dumps(about, sort_keys=True).encode("ascii")
    return _zip(
        {
            "logits": scores.logits,
            "clip_video": scores.clip_video,
            "video_ids": np.array(scores.ids, np.str_),
            "truth": scores.truth,
            "counted": scores.counted,
            "labels": np.array(scores.labels, np.str_),
            "about": np.frombuffer(text, np.uint8),
        }
    )


def read(path: Path) -> Scores:
    """Read an archive.

    Raises:
        RequestError: missing file, not such an archive, another format version, or a score that is no number.
    """
    members = _load(path)
    about = json.loads(bytes(members["about"]).decode("ascii"))
    if about.get("version") != VERSION:
        raise RequestError(f"has format version {about.get('version')}, this release reads {VERSION}", path, _TODO)
    bad = np.flatnonzero(~np.isfinite(members["logits"]).all(axis=1))
    if bad.size:
        video = members["video_ids"][members["clip_video"][bad[0]]]
        raise RequestError(f"a score of video {str(video)!r} is NaN or infinite ({bad.size} rows)", path, _TODO)
    absent: List[Absent] = [from_dict(Absent, item, path, "absent") for item in about["absent"]]
    return Scores(
        labels=members["labels"].tolist(),
        ids=members["video_ids"].tolist(),
        truth=members["truth"],
        counted=members["counted"],
        clip_video=members["clip_video"],
        logits=members["logits"],
        absent=absent,
        origin=from_dict(Origin, about["origin"], path, "origin"),
    )


def _load(path: Path) -> Dict[str, Any]:
    if not path.is_file():
        raise RequestError("no such file", path, _TODO)
    if not zipfile.is_zipfile(path):
        raise RequestError("is not an archive of scores (no ZIP file)", path, _TODO)
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in _MEMBERS}
    except (ValueError, KeyError, EOFError, OSError, zipfile.BadZipFile) as error:
        raise RequestError(f"is not an archive of scores ({error})", path, _TODO) from None


def _zip(members: Dict[str, np.ndarray]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, array in members.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, np.ascontiguousarray(array), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy", _EPOCH), member.getvalue())
    return buffer.getvalue()
