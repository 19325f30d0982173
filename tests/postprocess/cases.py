"""Batches and score folders as files, made small enough to count by hand."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Optional, Sequence, Tuple

import numpy as np

from clip2om.infer.scores import encode
from clip2om.pipeline import cards
from clip2om.pipeline.artifact import sha256_file
from clip2om.pipeline.manifest import BatchFile, Fingerprint, Manifest, Skipped, Video, write_manifest
from clip2om.pipeline.records import ScoreFile, Summary, write_record
from clip2om.pipeline.tensor import TensorSpec

DATA = Path(__file__).resolve().parent.parent / "data"
LABELS = ["left", "right", "up", "down", "grow", "shrink"]
CARD = str(DATA / "post_card.toml")
PADDING = 88.0


@dataclass(frozen=True)
class Item:
    """One video: id, class name, and logits, float32 (clips, classes)."""

    id: str
    label: Optional[str]
    logits: np.ndarray


def six_classes(ids: Sequence[str] = ("a", "b", "c", "d", "e"), seed: int = 3) -> List[Item]:
    """Return videos of 1, 2, 3 ... clips of random logits, with the labels in turn."""
    rng = np.random.default_rng(seed)
    return [
        Item(name, LABELS[number % 6], rng.normal(0, 3, (number + 1, 6)).astype(np.float32))
        for number, name in enumerate(ids)
    ]


def sure(name: str, label: str, best: str, clips: int = 1) -> Item:
    """Return a video whose every clip says ``best``."""
    logits = np.zeros((clips, 6), np.float32)
    logits[:, LABELS.index(best)] = 5.0
    return Item(name, label, logits)


def _places(items: Sequence[Item], layout: str, batch: int) -> Tuple[List[str], List[List[Tuple[int, int]]]]:
    if layout == "per-video":
        return [f"{item.id}.bin" for item in items], [
            [(number, slot) for slot in range(min(batch, len(item.logits)))] for number, item in enumerate(items)
        ]
    size, stem = (1, "clip_{:06d}.bin") if layout == "per-clip" else (batch, "batch_{:05d}.bin")
    places, clip = [], 0
    for item in items:
        places.append([divmod(clip + index, size) for index in range(len(item.logits))])
        clip += len(item.logits)
    return [stem.format(number) for number in range(-(-clip // size))], places


def make_batches(
    folder: Path,
    items: Sequence[Item],
    layout: str = "packed",
    batch: int = 4,
    labels: Sequence[str] = LABELS,
    skipped: Sequence[Skipped] = (),
    card: str = CARD,
) -> Manifest:
    """Write the manifest of batches with these videos; the tensors themselves are not needed here."""
    loaded = cards.load(card)
    names, places = _places(items, layout, loaded.input_spec(batch).clips)
    used = [0] * len(names)
    videos = []
    for item, spots in zip(items, places):
        for file, _ in spots:
            used[file] += 1
        clips = [(file, slot, 1 + 16 * n, 16 + 16 * n) for n, (file, slot) in enumerate(spots)]
        videos.append(Video(item.id, item.label, (1, 1 + 16 * len(item.logits)), len(item.logits) - len(spots), clips))
    fingerprint = Fingerprint(
        "pillow", "pil-bilinear", True, "22 bits", 64, "center", 64, "RGB", 255.0, (0.5,), (0.25,), "windows", 16, 16, 0
    )
    manifest = Manifest(
        card=loaded.name,
        card_digest=loaded.digest("input", "clips", "transform"),
        transform_digest=loaded.digest("transform"),
        dataset="motions",
        subset="validation",
        annotation="annotation.json",
        annotation_sha256="a" * 64,
        layout=layout,
        tensor=loaded.input_spec(1 if layout == "per-clip" else batch),
        fingerprint=fingerprint,
        labels=list(labels),
        expected=len(items) + len(skipped),
        files=[BatchFile(name, 1, count, "b" * 64) for name, count in zip(names, used)],
        videos=videos,
        skipped=list(skipped),
        versions={},
    )
    write_manifest(folder, manifest)
    return manifest


def outputs(manifest: Manifest, items: Sequence[Item]) -> Dict[str, np.ndarray]:
    """Return the array of each file, float32 (rows, classes); rows of padding hold numbers that would be noticed."""
    classes = items[0].logits.shape[1]
    arrays = {file.name: np.full((manifest.tensor.clips, classes), PADDING, np.float32) for file in manifest.files}
    for item, video in zip(items, manifest.videos):
        for row, clip in zip(item.logits, video.slots()):
            arrays[manifest.files[clip.file].name][clip.slot] = row
    return arrays


def write_own(
    folder: Path,
    batches: Path,
    arrays: Dict[str, np.ndarray],
    dtype: str = "float32",
    items: int = 0,
    form: str = "bin",
) -> None:
    """Write results as this project's runners do: name_0.bin and summary.json; ``items`` clips make an item."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for name, array in arrays.items():
        data = encode(array.astype(dtype), form)
        result = f"{name.rpartition('.')[0]}_0.{form}"
        (folder / result).write_bytes(data)
        files.append(ScoreFile(result, name, 0, hashlib.sha256(data).hexdigest()))
    shape = next(iter(arrays.values())).shape
    output = TensorSpec("output", dtype, shape, "NC")
    if items:
        output = TensorSpec("output", dtype, (shape[0] // items, items, shape[1]), "NKC")
    summary = Summary(
        engine="openvino",
        engine_version="2025.0",
        device="CPU",
        precision="float32",
        card=CARD,
        soc="cpu",
        model_sha256="d" * 64,
        manifest=str(batches / "manifest.json"),
        manifest_sha256=sha256_file(batches / "manifest.json"),
        fingerprint="e" * 64,
        outputs=[output],
        files=files,
        throughput=None,
    )
    write_record(folder / "summary.json", summary)


def write_all(folder: Path, arrays: Dict[str, np.ndarray], pattern: str, ending: str = "bin") -> None:
    """Write results under ``pattern`` (``{first}``: name up to its first dot, ``{last}``: without its ending)."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in arrays.items():
        stem = pattern.format(first=name.partition(".")[0], last=name.rpartition(".")[0])
        path = folder / f"{stem}.{ending}"
        if ending == "npy":
            np.save(path, array)
        elif ending == "txt":
            path.write_text("".join(" ".join(f"{value:f}" for value in row) + " \n" for row in array))
        else:
            path.write_bytes(array.tobytes())


def annotation(path: Path, entries: Dict[str, Tuple[str, Optional[str]]], labels: Sequence[str] = LABELS) -> Path:
    """Write an annotation file; entries are (subset, label)."""
    database = {
        name: {"subset": subset, "annotations": {"segment": [1, 17], **({"label": label} if label else {})}}
        for name, (subset, label) in entries.items()
    }
    path.write_text(json.dumps({"labels": list(labels), "database": database}))
    return path


def load(path: Path) -> dict:
    """Return a JSON file."""
    return json.loads(path.read_text())


def tops(val: Path) -> Dict[str, List[str]]:
    """Return the labels per video of a val.json."""
    return {name: [entry["label"] for entry in entries] for name, entries in load(val)["results"].items()}
