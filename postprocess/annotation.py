"""The ground truth of one subset of an ActivityNet-style annotation file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, List, Optional

from clip2om.pipeline.artifact import load_json, sha256_file
from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.naming import full_subset

_SHAPE = "expected {'labels': [...], 'database': {id: {'subset': ..., 'annotations': {'label': ...}}}}"


@dataclass(frozen=True)
class Annotation:
    """Class names, and per video of the subset its class name (None where the file gives none), in file order."""

    path: str
    sha256: str
    subset: str
    labels: List[str]
    truth: Dict[str, Optional[str]]


def read_annotation(path: str, subset: str) -> Annotation:
    """Read the labels and the ground truth of ``subset``.

    Raises:
        RequestError: missing file, JSON of another shape, a label that is not in the list, an empty subset.
    """
    data = load_json(path, "give the annotation file that the batches were made from")
    labels = data.get("labels") if isinstance(data, dict) else None
    database = data.get("database") if isinstance(data, dict) else None
    if not isinstance(labels, list) or not isinstance(database, dict) or not all(isinstance(x, str) for x in labels):
        raise RequestError(f"is JSON of another shape; {_SHAPE}", path)
    subset = full_subset(subset)
    if len(set(labels)) != len(labels):
        raise RequestError("'labels' holds a name twice", path, "correct the list")
    known, truth = set(labels), {}
    for name, entry in database.items():
        if full_subset(str(_field(entry, "subset", name, path))) == subset:
            truth[name] = _label(entry, name, known, path)
    if not truth:
        found = sorted({str(entry["subset"]) for entry in database.values()})
        raise RequestError(
            f"has no video of subset {subset!r}", path, f"choose --subset from: {', '.join(found) or 'none'}"
        )
    return Annotation(path, sha256_file(path), subset, labels, truth)


def _label(entry: Dict[str, Any], name: str, known: set, path: str) -> Optional[str]:
    about = entry.get("annotations", {})
    label = about.get("label") if isinstance(about, dict) else about
    if label is None or (isinstance(label, str) and label in known):
        return label
    raise RequestError(f"label {label!r} of video {name!r} is not in 'labels'", path, "correct the label or the list")


def _field(entry: Any, key: str, name: str, path: str) -> Any:
    if not isinstance(entry, dict) or key not in entry:
        raise RequestError(f"entry {name!r} has no {key!r}; {_SHAPE}", path)
    return entry[key]
