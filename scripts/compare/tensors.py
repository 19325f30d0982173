"""Were two runs fed the same tensors? First the fingerprints of their preparation, then the bytes of each clip."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Dict, Iterator, List, Optional, Sequence, Tuple

import numpy as np

from clip2om.pipeline.artifact import sha256_file
from clip2om.pipeline.console import Console
from clip2om.pipeline.manifest import Manifest
from clip2om.pipeline.typed import to_dict
from clip2om.scripts.pages.run import Note, Run

SAME, WITHIN, DIFFERS, UNKNOWN = "same", "within", "differs", "unknown"


@dataclass(frozen=True)
class Check:
    """One step of the triage.

    Attributes:
        step: ``tensors``, ``logits`` or ``rules``.
        verdict: ``same``, ``within`` (the customary limits), ``differs`` or ``unknown``.
        why: What was found, as a text of the pages.
        fields: Name, value of A and value of B of what differs.
    """

    step: str
    verdict: str
    why: Note
    fields: List[Tuple[str, str, str]] = field(default_factory=list)


def check_tensors(a: Run, b: Run, console: Console) -> Check:
    """Compare what the two runs were fed."""
    prints = [run.accuracy.origin.fingerprint for run in (a, b)]
    if None in prints:
        return Check("tensors", UNKNOWN, Note("print_unknown"))
    if prints[0] != prints[1]:
        return Check("tensors", DIFFERS, Note("print_differs"), _fields(a.manifest, b.manifest))
    manifests = [run.accuracy.origin.manifest_sha256 for run in (a, b)]
    if manifests[0] is not None and manifests[0] == manifests[1]:
        return Check("tensors", SAME, Note("same_manifest"))
    if a.manifest is None or b.manifest is None:
        return Check("tensors", UNKNOWN, Note("batches_gone"))
    if _kind(a.manifest) != _kind(b.manifest):
        values: Dict[str, object] = {"a": a.manifest.tensor.with_batch(1), "b": b.manifest.tensor.with_batch(1)}
        return Check("tensors", UNKNOWN, Note("stored_differently", values))
    return _bytes(a, b, a.manifest.tensor.nbytes // a.manifest.tensor.clips, console)


def _fields(a: Optional[Manifest], b: Optional[Manifest]) -> List[Tuple[str, str, str]]:
    if a is None or b is None:
        return []
    mine, yours = to_dict(a.fingerprint), to_dict(b.fingerprint)
    return [(name, str(value), str(yours[name])) for name, value in mine.items() if value != yours[name]]


def _kind(manifest: Manifest) -> Tuple[object, ...]:
    tensor = manifest.tensor
    return tensor.dtype, tensor.shape[1:], tensor.layout


@dataclass(frozen=True)
class _Clip:
    """Where the bytes of a clip are, and the digest of their file."""

    path: Path
    slot: int
    sha256: str


def _bytes(a: Run, b: Run, size: int, console: Console) -> Check:
    mine, yours = _clips(a), _clips(b)
    shared = [key for key in mine if key in yours]
    if not shared:
        return Check("tensors", UNKNOWN, Note("no_common_clip"))
    if not all(path.is_file() for path in {clips[key].path for clips in (mine, yours) for key in shared}):
        return Check("tensors", UNKNOWN, Note("batches_gone"))
    if _altered([(mine[key], yours[key]) for key in shared]):
        return Check("tensors", UNKNOWN, Note("batches_altered"))
    different: List[str] = []
    with console.progress(len(shared), "clips") as progress:
        for key in shared:
            left, right = mine[key], yours[key]
            if not _equal(left, right) and _read(left, size) != _read(right, size):
                different.append(key[0])
            progress.advance()
    if not different:
        return Check("tensors", SAME, Note("same_bytes", {"clips": len(shared)}))
    values: Dict[str, object] = {"count": len(different), "clips": len(shared), "video": different[0]}
    return Check("tensors", DIFFERS, Note("bytes_differ", values), _versions(a.manifest, b.manifest))


def _altered(pairs: Sequence[Tuple[_Clip, _Clip]]) -> bool:
    """Tell whether a file that has to be read is not the one of its manifest: it is not what the run was fed."""
    files = {(clip.path, clip.sha256) for pair in pairs if not _equal(*pair) for clip in pair}
    return any(sha256_file(path) != digest for path, digest in sorted(files))


def _equal(left: _Clip, right: _Clip) -> bool:
    """Tell whether two clips are in the same slot of an equal file, and need not be read."""
    return (left.sha256, left.slot) == (right.sha256, right.slot)


def _versions(a: Optional[Manifest], b: Optional[Manifest]) -> List[Tuple[str, str, str]]:
    mine, yours = (dict(item.versions) if item else {} for item in (a, b))
    names = dict.fromkeys([*mine, *yours])
    return [(n, mine.get(n, ""), yours.get(n, "")) for n in names if mine.get(n) != yours.get(n)]


def _clips(run: Run) -> Dict[Tuple[str, int, int, int], _Clip]:
    """Return the clips by video, place in the video, first and last frame."""
    return dict(_each(run.folders.batches, run.manifest)) if run.manifest else {}


def _each(folder: Path, manifest: Manifest) -> Iterator[Tuple[Tuple[str, int, int, int], _Clip]]:
    for video in manifest.videos:
        for place, (file, slot, first, last) in enumerate(video.clips):
            about = manifest.files[file]
            yield (video.id, place, first, last), _Clip(folder / about.name, slot, about.sha256)


def _read(clip: _Clip, size: int) -> bytes:
    found: bytes = np.fromfile(clip.path, np.uint8, size, offset=clip.slot * size).tobytes()
    return found
