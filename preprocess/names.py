"""File names that no tool cuts, collides or chokes on; ids live in the manifest and are never read back from names."""

from __future__ import annotations

import hashlib
import re
from typing import List, Sequence

from clip2om.pipeline.errors import RequestError

_SAFE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,119}")
_RESERVED = ("manifest", "batch_", "clip_")


def safe_names(ids: Sequence[str]) -> List[str]:
    """Return a distinct file stem for each video id.

    An id of letters, digits, ``_`` and ``-`` is its own name. Any other one (ais_bench cuts names at the first dot,
    shells and its path check stumble over blanks, brackets and ``;``) gets its odd characters replaced and eight hex
    digits of its SHA-256 appended, as does an id that differs from an earlier one in case only.
    """
    taken, names = set(), []
    for name in ids:
        plain = _SAFE.fullmatch(name) is not None and not name.lower().startswith(_RESERVED)
        if not plain or name.lower() in taken:
            name = f"v_{re.sub(r'[^A-Za-z0-9_-]+', '_', name)[:100]}-{_digest(name)}"
        taken.add(name.lower())
        names.append(name)
    return names


def id_names(ids: Sequence[str]) -> List[str]:
    """Return the ids themselves, as the 3d_resnet recipe names its files.

    Raises:
        RequestError: an id is too long for a file name, or occurs twice.
    """
    for name in ids:
        if len(name.encode()) > 240:
            raise RequestError(f"video id {name[:40]!r}... is too long for a file name", "--file-names id", "use safe")
    return list(ids)


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
