"""Compiled models and batch folders, written directly through pipeline/, and their logits by NumPy."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import List, Optional

import numpy as np

from clip2om.infer.__main__ import main
from clip2om.pipeline.artifact import sha256_file
from clip2om.pipeline.manifest import BatchFile, Fingerprint, Manifest, Video, read_manifest, write_manifest
from clip2om.pipeline.records import CompiledRecord, Summary, read_record, write_record
from tests.convert.graphs import CARD, Graph, write_onnx

FRAMES = 4


def fingerprint() -> Fingerprint:
    zero, one = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    return Fingerprint("none", "none", True, "none", 8, "center", 8, "RGB", 1.0, zero, one, "windows", FRAMES, 4, 0)


def write_model(
    folder: Path, graph: Graph, form: str = "openvino", batch: int = 0, **changes: object
) -> CompiledRecord:
    """Write a compiled model as the convert stage leaves it and return its record, with ``changes`` to it."""
    folder.mkdir(parents=True, exist_ok=True)
    batch = batch or graph.batch
    names = _write_ir(folder, graph, batch) if form == "openvino" else ["model.onnx"]
    if form == "onnx":
        write_onnx(graph, folder / "model.onnx")
    fields = {
        "format": form,
        "files": {name: sha256_file(folder / name) for name in names},
        "card": CARD,
        "soc": "cpu",
        "batch": batch,
        "precision": "float32",
        "command": "none",
        "tool": "none",
        "graph_sha256": "0" * 64,
        "inputs": [graph.input_spec.with_batch(batch)],
        "outputs": [spec.with_batch(batch) for spec in graph.output_specs],
    }
    record = CompiledRecord(**{**fields, **changes})  # type: ignore[arg-type]
    write_record(folder / "model.json", record)
    return record


def record_again(folder: Path) -> None:
    """Make the record of a model describe its files as they are now."""
    record = read_record(folder / "model.json", CompiledRecord, "")
    files = {name: sha256_file(folder / name) for name in record.files}
    write_record(folder / "model.json", replace(record, files=files))


def _write_ir(folder: Path, graph: Graph, batch: int) -> List[str]:
    import openvino

    source = folder / "source.onnx"
    write_onnx(graph, source)
    model = openvino.Core().read_model(str(source))
    model.reshape({graph.input: [batch, *graph.item]})
    openvino.serialize(model, str(folder / "model.xml"), str(folder / "model.bin"))
    source.unlink()
    return ["model.xml", "model.bin"]


def clips_of(count: int, graph: Graph, seed: int = 0) -> np.ndarray:
    """Return ``count`` items, clips (C, T, H, W) or the K clips of a video, in the graph's dtype."""
    return np.random.RandomState(seed).randint(0, 256, (count, *graph.item)).astype(graph.dtype)


def write_batches(
    folder: Path, graph: Graph, clips: np.ndarray, batch: int, layout: str = "packed", per_video: int = 3
) -> Manifest:
    """Write ``clips`` into files of ``batch`` slots, the last one padded with zeros, ``per_video`` clips to a video.

    Where an item holds several clips, it is a video of its own.
    """
    size, per_video = graph.clips or 1, graph.clips or per_video
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for start in range(0, len(clips), batch):
        part = clips[start : start + batch]
        padding = np.zeros((batch - len(part), *part.shape[1:]), part.dtype)
        data = np.concatenate([part, padding]).tobytes()
        path = folder / f"batch_{start // batch:05d}.bin"
        path.write_bytes(data)
        files.append(BatchFile(path.name, len(data), len(part) * size, sha256_file(path)))
    places = [(*divmod(index, batch * size), 1, FRAMES) for index in range(len(clips) * size)]
    videos = [
        Video(f"video {start}", "run", (1, 1 + FRAMES), 0, places[start : start + per_video])
        for start in range(0, len(places), per_video)
    ]
    tensor = graph.input_spec.with_batch(batch)
    manifest = Manifest(
        *(
            CARD,
            "0" * 64,
            "0" * 64,
            "tiny",
            "validation",
            "annotation.json",
            "0" * 64,
            layout,
            tensor,
            fingerprint(),
            ["run"],
        ),
        *(len(videos), files, videos, [], {}),
    )
    write_manifest(folder, manifest)
    return manifest


class Case:
    """A model, batches and a place for scores."""

    def __init__(self, root: Path) -> None:
        self.compiled = root / "compiled"
        self.batches = root / "batches"
        self.output = root / "scores"
        self.graph = Graph()
        self.clips = np.empty(0)

    def build(
        self,
        graph: Optional[Graph] = None,
        form: str = "openvino",
        count: int = 18,
        batch: int = 4,
        layout: str = "packed",
    ) -> Case:
        """Write a model and ``count`` clips."""
        self.graph = graph or Graph()
        write_model(self.compiled, self.graph, form, self.graph.batch if self.graph.batch > 0 else batch)
        self.clips = clips_of(count, self.graph)
        write_batches(self.batches, self.graph, self.clips, batch, layout)
        return self

    def argv(self, *more: object) -> List[str]:
        folders = ["--compiled", self.compiled, "--batches", self.batches, "--output", self.output]
        return [str(word) for word in (*folders, *more)]

    def infer(self, *more: object) -> int:
        return main(self.argv(*more))

    def summary(self) -> Summary:
        return read_record(self.output / "summary.json", Summary, "")

    def manifest(self) -> Manifest:
        return read_manifest(self.batches)

    def scores(self, index: int = 0) -> np.ndarray:
        """Return output ``index`` of all items, read as another program would: by name, raw float32."""
        shape = self.graph.output_specs[index].shape[1:]
        rows = []
        for file in self.manifest().files:
            data = np.fromfile(self.output / f"{Path(file.name).stem}_{index}.bin", "<f4").reshape(-1, *shape)
            rows.append(data[: file.clips // (self.graph.clips or 1)])
        return np.concatenate(rows)

    def results(self) -> dict:
        """Return the bytes of all result files."""
        return {path.name: path.read_bytes() for path in sorted(self.output.glob("batch_*.bin"))}

    def change_batch(self, number: int, seed: int = 99) -> None:
        """Give one batch file other clips, as preprocessing a changed video does."""
        manifest = self.manifest()
        file = manifest.files[number]
        clips = clips_of(manifest.tensor.batch, self.graph, seed)
        (self.batches / file.name).write_bytes(clips.tobytes())
        self.clips[number * manifest.tensor.batch :][: file.clips] = clips[: file.clips]
        manifest.files[number] = replace(file, sha256=sha256_file(self.batches / file.name))
        write_manifest(self.batches, manifest)

    def state(self) -> dict:
        """Return time and bytes of every file in the scores folder."""
        return {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in self.output.iterdir()}
