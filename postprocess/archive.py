"""``scores.npz``: all clip scores and what belongs to them, so that metrics can be computed again without inference.

Members (plain arrays, no pickle; the same scores give the same bytes):

    logits      float32 (clips, classes)   as the model wrote them, before any activation
    clip_video  int32 (clips,)             index of the clip's video, ascending
    video_ids   text (videos,)
    truth       int32 (videos,)            class index, -1 where the annotation gives none
    counted     bool (videos,)             the video is in the subset
    labels      text (classes,)            class names in column order
    about       uint8 (bytes,)             JSON, UTF-8: format version, videos without scores, conditions
    views       int32 (clips, 2)           clip of its video and crop of each row, where frames have several crops
"""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List

import numpy as np

from clip2om.pipeline.arrays import NoArrayError, load_npz
from clip2om.pipeline.artifact import parse_json
from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.typed import from_dict, to_dict
from clip2om.postprocess.scores import MISSING, NO_CLASS, SKIPPED, Absent, Origin, Scores

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
            **({} if scores.views is None else {"views": scores.views}),
        }
    )


def read(path: Path) -> Scores:
    """Read an archive.

    Raises:
        RequestError: missing file, not such an archive, another format version, or a score that is no number.
    """
    members = _load(path)
    about = _about(members["about"], path)
    scores = Scores(
        labels=members["labels"].tolist(),
        ids=members["video_ids"].tolist(),
        truth=members["truth"],
        counted=members["counted"],
        clip_video=members["clip_video"],
        logits=members["logits"],
        absent=about.absent,
        origin=about.origin,
        views=members.get("views"),
    )
    wrong = _contradiction(scores)
    if wrong:
        raise RequestError(f"is not an archive of scores ({wrong})", path, _TODO)
    bad = np.flatnonzero(~np.isfinite(scores.logits).all(axis=1))
    if bad.size:
        video = scores.ids[scores.clip_video[bad[0]]]
        raise RequestError(f"a score of video {video!r} is NaN or infinite ({bad.size} rows)", path, _TODO)
    return scores


@dataclass(frozen=True)
class _About:
    absent: List[Absent]
    origin: Origin


def _about(member: np.ndarray, path: Path) -> _About:
    if member.dtype != np.uint8 or member.ndim != 1:
        raise RequestError("is not an archive of scores (about is no text)", path, _TODO)
    content = parse_json(member.tobytes().decode("utf-8", "replace"), path, _TODO)
    version = content.get("version") if isinstance(content, dict) else None
    if not isinstance(content, dict) or version != VERSION:
        raise RequestError(f"has format version {version}, this release reads {VERSION}", path, _TODO)
    return from_dict(_About, {key: content[key] for key in ("absent", "origin") if key in content}, path, "about")


def _contradiction(scores: Scores) -> str:
    """Return what is impossible about scores, empty where everything fits together."""
    videos, classes, clips = len(scores.ids), len(scores.labels), len(scores.clip_video)
    wanted = {
        "logits": (scores.logits, np.float32, (clips, classes)),
        "clip_video": (scores.clip_video, np.int32, (clips,)),
        "truth": (scores.truth, np.int32, (videos,)),
        "counted": (scores.counted, np.bool_, (videos,)),
    }
    if scores.views is not None:
        wanted["views"] = (scores.views, np.int32, (clips, 2))
    for name, (array, dtype, shape) in wanted.items():
        if array.dtype != dtype or array.shape != shape:
            return f"{name} is {array.dtype} {array.shape}, expected {np.dtype(dtype)} {shape}"
    names = [*scores.ids, *(item.id for item in scores.absent)]
    for what, found in (("video_ids and absent", names), ("labels", scores.labels)):
        if not found or len(set(found)) < len(found):
            return f"{what} hold a name twice, or none"
    if ((scores.truth < NO_CLASS) | (scores.truth >= classes)).any():
        return f"truth holds a class that is none of {classes}"
    known = {*scores.labels, None}
    if any(item.label not in known or item.kind not in (SKIPPED, MISSING) for item in scores.absent):
        return "absent holds an unknown label or kind"
    if clips and (scores.clip_video[0] != 0 or (np.diff(scores.clip_video) < 0).any()):
        return "clip_video does not ascend from 0"
    if len(np.unique(scores.clip_video)) != videos or (clips and scores.clip_video[-1] != videos - 1):
        return "clip_video does not give every video a clip"
    return ""


def _load(path: Path) -> Dict[str, Any]:
    if not path.is_file():
        raise RequestError("no such file", path, _TODO)
    try:
        found = load_npz(path, _MEMBERS, ("views",))
    except NoArrayError as error:
        raise RequestError(f"is not an archive of scores ({error})", path, _TODO) from None
    for name in ("video_ids", "labels"):
        if found[name].ndim != 1 or not _is_text(found[name]):
            raise RequestError(f"is not an archive of scores ({name} is no list of texts)", path, _TODO)
    return found


def _is_text(array: np.ndarray) -> bool:
    """True for texts of whole characters: NumPy keeps whatever 32 bits there are."""
    if array.dtype.kind != "U" or array.dtype.itemsize == 0:
        return False
    codes = np.ascontiguousarray(array.astype(array.dtype.newbyteorder("="))).view(np.uint32)
    return not ((codes > 0x10FFFF) | ((codes >= 0xD800) & (codes < 0xE000))).any()


def _zip(members: Dict[str, np.ndarray]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, array in members.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, np.ascontiguousarray(array), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy", _EPOCH), member.getvalue())
    return buffer.getvalue()
