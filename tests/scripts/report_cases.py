"""Runs made up for the pages: results, records and frames as the stages leave them, of any size."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Dict, List, Optional, Sequence

import numpy as np
from PIL import Image

from clip2om.pipeline.artifact import digest_of, sha256_file, write_text
from clip2om.pipeline.manifest import BatchFile, Fingerprint, Manifest, Video, write_manifest
from clip2om.pipeline.records import CompiledRecord, Latency, Rate, ScoreFile, Summary, Throughput, write_record
from clip2om.pipeline.tensor import TensorSpec
from clip2om.postprocess import results
from clip2om.postprocess.accuracy import Rules, count
from clip2om.postprocess.scores import Absent, Origin, Scores

CARD = """title = "A made-up model"
[model]
framework = "pytorch"
network = "resnet3d"
classes = {classes}
[input]
name = "input"
layout = "NCTHW"
shape = [3, 4, 8, 8]
dtype = "uint8"
batch = 10
[clips]
sampler = "windows"
frames = 4
stride = 4
[transform]
resize = 8
size = 8
kernel = "pil-bilinear"
crop = "center"
color = "RGB"
scale = 255.0
mean = [0.5, 0.5, 0.5]
std = [0.25, 0.25, 0.25]
[dataset]
name = "made_up"
annotation = "{root}/annotation.json"
videos = "{root}/frames"
[[published]]
metric = "top-1"
value = 0.7
unit = "fraction of videos"
data = "made up"
hardware = "none"
source = "tests"
"""
PRINT = Fingerprint(
    decoder="Pillow",
    kernel="pil-bilinear",
    antialias=True,
    rounding="uint8",
    resize=8,
    crop="center",
    size=8,
    color="RGB",
    scale=255.0,
    mean=(0.5, 0.5, 0.5),
    std=(0.25, 0.25, 0.25),
    sampler="windows",
    frames=4,
    stride=4,
    max_clips=0,
)


class Case:
    """A dataset of ``classes`` classes and ``videos`` videos, two clips each, and any number of runs over it.

    Attributes:
        root: Everything lies below it; the card is ``root/made_up.toml``.
    """

    def __init__(
        self,
        root: Path,
        classes: int = 4,
        videos: int = 40,
        labels: Optional[Sequence[str]] = None,
        ids: Optional[Sequence[str]] = None,
    ) -> None:
        self.root = root
        self.labels = list(labels or (f"class_{number:03d}" for number in range(classes)))
        self.ids = list(ids or (f"video_{number:05d}" for number in range(videos)))
        self.truth = np.arange(len(self.ids), dtype=np.int32) % len(self.labels)
        self.card = root / "made_up.toml"
        write_text(self.card, CARD.format(classes=len(self.labels), root=root))
        self._annotate()

    def _annotate(self) -> None:
        database = {
            name: {"subset": "validation", "annotations": {"label": self.labels[label], "segment": [1, 9]}}
            for name, label in zip(self.ids, self.truth)
        }
        write_text(self.root / "annotation.json", json.dumps({"labels": self.labels, "database": database}))

    def frames(self, only: int = 10**9, size: int = 8) -> None:
        """Write the frames of the first videos, noise that compresses badly."""
        noise = np.random.default_rng(0)
        for name, label in list(zip(self.ids, self.truth))[:only]:
            folder = self.root / "frames" / self.labels[label] / name
            folder.mkdir(parents=True, exist_ok=True)
            for number in range(1, 9):
                pixels = noise.integers(0, 256, (size * 3 // 4, size, 3), np.uint8)
                Image.fromarray(pixels).save(folder / f"image_{number:05d}.jpg", quality=90)

    def logits(self, seed: int = 0, lead: float = 4.0) -> np.ndarray:
        """Return float32 (clips, classes): noise with the true class ahead by about ``lead``, sometimes not enough."""
        rows = np.random.default_rng(seed).normal(0, 1, (2 * len(self.ids), len(self.labels)))
        rows[np.arange(len(rows)), np.repeat(self.truth, 2)] += lead
        return rows.astype(np.float32)

    def run(self, name: str, logits: np.ndarray, **more: object) -> Path:
        """Write a run below ``root/build`` and return the folder of its results; see :func:`write_run`."""
        return write_run(self, self.root / "build" / name, logits, **more)  # type: ignore[arg-type]


def write_run(
    case: Case,
    build: Path,
    logits: np.ndarray,
    tensors: int = 0,
    print_of: Fingerprint = PRINT,
    latency: Sequence[float] = (10.0, 11.0, 12.5, 30.0),
    absent: Sequence[Absent] = (),
    rules: Rules = Rules(1, "softmax"),  # noqa: B008
    dataset: str = "made_up",
    truth: Optional[np.ndarray] = None,
    stored: bool = True,
) -> Path:
    """Write batches (of noise from seed ``tensors``), records, scores and results of one run.

    Without ``stored`` the batches are listed and not written, as after somebody deleted them.

    Returns:
        The folder of the results, ``build/results/cpu-b10``.
    """
    manifest = _batches(case, build / "batches", tensors if stored else None, print_of, dataset)
    compiled = build / "compiled" / "cpu-b10"
    spec, output = manifest.tensor, TensorSpec("output", "float32", (10, len(case.labels)), "NC")
    about = {"card": "made_up", "soc": "cpu", "batch": 10, "precision": "float32", "tool": "openvino 1"}
    command = "python -m convert --model made_up"
    model = CompiledRecord(
        format="openvino",
        files={"model.xml": "0" * 64},
        command=command,
        graph_sha256="1" * 64,
        inputs=[spec],
        outputs=[output],
        **about,  # type: ignore[arg-type]
    )
    write_record(compiled / "model.json", model)
    digest = sha256_file(build / "batches" / "manifest.json")
    origin = Origin(
        card="made_up",
        dataset=dataset,
        subset="validation",
        layout="packed",
        activation="softmax",
        annotation_sha256=sha256_file(case.root / "annotation.json"),
        manifest_sha256=digest,
        fingerprint=print_of.digest,
        scores_sha256=digest_of([["batch_00000.bin", "5" * 64]]),
        format="BIN float32",
        dropped_clips=0,
        model_sha256=model.sha256,
        engine="openvino",
        engine_version="1",
        device="CPU",
        soc="cpu",
        precision="float32",
    )
    scores = Scores(
        labels=case.labels,
        ids=case.ids,
        truth=case.truth if truth is None else truth,
        counted=np.ones(len(case.ids), bool),
        clip_video=np.repeat(np.arange(len(case.ids), dtype=np.int32), 2),
        logits=logits,
        absent=list(absent),
        origin=origin,
    )
    folder = build / "results" / "cpu-b10"
    results.write(count(scores, rules), folder, with_scores=True)
    write_record(build / "scores" / "cpu-b10" / "summary.json", _summary(model, manifest, digest, latency))
    return folder


def _batches(case: Case, folder: Path, seed: Optional[int], print_of: Fingerprint, dataset: str) -> Manifest:
    folder.mkdir(parents=True, exist_ok=True)
    clips = [(number, part) for number in range(len(case.ids)) for part in range(2)]
    tensor = TensorSpec("input", "uint8", (10, 3, 4, 8, 8), "NCTHW")
    noise, files = np.random.default_rng(seed), []
    for number in range(-(-len(clips) // 10)):
        path = folder / f"batch_{number:05d}.bin"
        if seed is not None:
            path.write_bytes(noise.integers(0, 256, tensor.nbytes, np.uint8).tobytes())
        digest = "6" * 64 if seed is None else sha256_file(path)
        files.append(BatchFile(path.name, tensor.nbytes, min(10, len(clips) - 10 * number), digest))
    videos = [
        Video(
            name,
            case.labels[label],
            (1, 9),
            0,
            [(*divmod(2 * n + part, 10), 1 + 4 * part, 4 + 4 * part) for part in (0, 1)],
        )
        for n, (name, label) in enumerate(zip(case.ids, case.truth))
    ]
    manifest = Manifest(
        card="made_up",
        card_digest="3" * 64,
        transform_digest="4" * 64,
        dataset=dataset,
        subset="validation",
        annotation="annotation.json",
        annotation_sha256=sha256_file(case.root / "annotation.json"),
        layout="packed",
        tensor=tensor,
        fingerprint=print_of,
        labels=case.labels,
        expected=len(case.ids),
        files=files,
        videos=videos,
        skipped=[],
        versions={"Pillow": "1"},
    )
    write_manifest(folder, manifest)
    return manifest


def _summary(model: CompiledRecord, manifest: Manifest, digest: str, latency: Sequence[float]) -> Summary:
    ordered = sorted(latency)
    rate = Rate(1.0, 100.0, 50.0, 400.0, 100.0)
    wait = Latency(len(latency), float(np.mean(latency)), *(ordered[len(latency) // 2],) * 2, ordered[-1], ordered[-1])
    files: List[ScoreFile] = [ScoreFile("batch_00000_0.bin", "batch_00000.bin", 0, "5" * 64)]
    host: Dict[str, object] = {"cpu": "made up", "cores": 1, "memory_bytes": 1, "system": "none", "python": "3"}
    return Summary(
        engine="openvino",
        engine_version="1",
        device="CPU",
        precision="float32",
        card="made_up",
        soc="cpu",
        model_sha256=model.sha256,
        manifest="manifest.json",
        manifest_sha256=digest,
        fingerprint=manifest.fingerprint.digest,
        outputs=model.outputs,
        files=files,
        throughput=Throughput(len(latency), manifest.clips, len(manifest.videos), 1, 0, rate, rate, wait, 1, 0.1),
        latency_ms=list(latency),
        start_ms=[float(sum(latency[:n])) for n in range(len(latency))],
        host=host,
    )
