"""Every reader of our own files and of datasets, and :mod:`tests.hostile.foreign`'s, with a good file to begin with."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Dict, List, Tuple

import numpy as np
from PIL import Image

from clip2om.export.neutral import read_arrays, write_arrays
from clip2om.infer.journal import Journal as ScoreJournal
from clip2om.pipeline import cards
from clip2om.pipeline.manifest import read_manifest
from clip2om.pipeline.mean_volume import read_mean_volume
from clip2om.pipeline.places import CARDS
from clip2om.pipeline.records import CompiledRecord, GraphRecord, Summary, read_record
from clip2om.postprocess import archive, recipe_lists
from clip2om.postprocess.accuracy import Rules, count
from clip2om.postprocess.annotation import read_annotation
from clip2om.postprocess.batches import from_manifest
from clip2om.postprocess.evaluate import _read_results
from clip2om.postprocess.reading import read_scores
from clip2om.postprocess.results import val_text
from clip2om.postprocess.tensors import Shape, read_result
from clip2om.preprocess import activitynet, lists
from clip2om.preprocess.frames import as_array
from clip2om.preprocess.journal import Journal
from clip2om.preprocess.jpeg import open_picture
from clip2om.preprocess.video_files import count_frames, read_video
from tests.postprocess.cases import CARD, LABELS, annotation, make_batches, outputs, six_classes, write_own

VIDEOS = Path(__file__).parent.parent / "data" / "video"


@dataclass(frozen=True)
class Reader:
    """One reader: the name of its file, good contents of it, and the call that reads it from a folder.

    ``share`` is its part of all cases, beside 1.0: decoding a video takes longer than reading a list.
    """

    file: str
    seeds: List[bytes]
    read: Callable[[Path], object]
    share: float = 1.0


def readers(folder: Path) -> Dict[str, Reader]:
    """Return the readers by name; ``folder`` is for what they need beside the damaged file."""
    from tests.hostile.foreign import foreign

    return {**_records(folder), **_texts(folder), **_arrays(folder), **_pictures(), **_videos(), **foreign(folder)}


def _records(folder: Path) -> Dict[str, Reader]:
    items = six_classes()
    manifest = make_batches(folder / "batches", items)
    write_own(folder / "scores", folder / "batches", outputs(manifest, items))
    card = cards.load(CARD)
    text = (folder / "batches" / "manifest.json").read_bytes()
    summary = (folder / "scores" / "summary.json").read_bytes()

    def reading(place: Path) -> object:
        batches = from_manifest(folder / "batches", card)
        for result in (folder / "scores").glob("*.bin"):
            (place / result.name).write_bytes(result.read_bytes())
        return read_scores(batches, place)

    model = {
        "kind": "clip2om.compiled",
        "version": 1,
        "format": "onnx",
        "files": {"model.onnx": "0" * 64},
        **{"card": "c", "soc": "cpu", "batch": 1, "precision": "float32", "command": "", "tool": "", "gears": [1, 2]},
        "graph_sha256": "0" * 64,
        "inputs": [{"name": "x", "dtype": "float32", "shape": [1, 3, 8, 16, 16], "layout": "NCTHW"}],
        "outputs": [{"name": "y", "dtype": "float32", "shape": [1, 6], "layout": "NC"}],
        "host": {"cpu": {"cores": 2}},
    }
    graph = {
        **{key: model[key] for key in ("version", "inputs", "outputs", "card")},
        "kind": "clip2om.graph",
        **{"format": "onnx", "file": "model.onnx", "sha256": "0" * 64, "card_digest": "", "checkpoint": "a.pth"},
        **{"checkpoint_sha256": "", "opset": 11, "versions": {"torch": "2"}},
        "parity": {"reference": "eager", "max_abs_diff": 1e-6, "max_abs": 3.0, "cosine": 1.0, "clips": 2},
    }
    done = {"name": "batch_00000.bin", "key": "k", "sha256": "0" * 64, "versions": {"Pillow": "1"}}
    journal = "\n".join(map(json.dumps, (["batch_00000.bin"], {"bad": "v", "key": "k", "reason": "r"}, done))) + "\n"
    identity = {"model_sha256": "0", "engine": "e", "engine_version": "1", "precision": "f32"}
    entry = {"key": "k", "files": [{"name": "a_0.bin", "source": "a.bin", "index": 0, "sha256": "0"}]}
    scored = f"{json.dumps(identity)}\n{json.dumps(entry)}\n"
    return {
        "manifest": Reader("manifest.json", [text], lambda place: (read_manifest(place), from_manifest(place, card))),
        "summary": Reader("summary.json", [summary], reading),
        "summary alone": Reader(
            "summary.json", [summary], lambda place: read_record(place / "summary.json", Summary, "")
        ),
        "compiled model": Reader(
            "model.json", [_json(model)], lambda place: read_record(place / "model.json", CompiledRecord, "")
        ),
        "graph": Reader("model.json", [_json(graph)], lambda place: read_record(place / "model.json", GraphRecord, "")),
        "journal": Reader(".progress.jsonl", [journal.encode()], lambda place: Journal(place).read()),
        "journal of scores": Reader(".progress.jsonl", [scored.encode()], lambda place: ScoreJournal(place).read()),
    }


def _texts(folder: Path) -> Dict[str, Reader]:
    entries = {f"v{number}": ("validation", LABELS[number % len(LABELS)]) for number in range(6)}
    truth = annotation(folder / "truth.json", entries)
    known = read_annotation(str(truth), "validation")
    demo = cards.load(CARD)
    listed = cards.load("c3d_tf")
    frames = cards.load("c3d_mmaction")
    card = (CARDS / "3d_resnet_demo.toml").read_bytes()
    names = "\n".join(f"v{number} {number + 1}" for number in range(6))
    rows = "ApplyEyeMakeup/v_a_g01 117 0\nApplyLipstick/v_b_g02 90 1\n"
    pairs = "ApplyEyeMakeup/v_a_g01 0\nApplyLipstick/v_b_g02 1\n"
    labelled = {"0": [{"file_name": "a_0.bin", "idx": 0}, {"file_name": "a_1.bin", "idx": 1}]}
    results = {"results": {name: [{"label": label, "score": 0.5}] for name, (_, label) in entries.items()}}
    return {
        "annotation": Reader(
            "a.json", [truth.read_bytes()], lambda place: activitynet.read(str(place / "a.json"), "validation")
        ),
        "annotation in postprocess": Reader(
            "a.json", [truth.read_bytes()], lambda place: read_annotation(str(place / "a.json"), "validation")
        ),
        "card": Reader("a.toml", [card], lambda place: cards.load(str(place / "a.toml"))),
        "list": Reader(
            "a.txt",
            [pairs.encode()],
            lambda place: lists.read(str(place / "a.txt"), "validation", listed),
        ),
        "rawframe list": Reader(
            "a.txt", [rows.encode()], lambda place: recipe_lists.from_rawframe_list(place / "a.txt", frames)
        ),
        "info": Reader("a.info", [names.encode()], lambda place: recipe_lists.from_info(place / "a.info", known, demo)),
        "label.json": Reader("a.json", [_json(labelled)], lambda p: recipe_lists._entries(json_of(p), p / "a.json")),
        "val.json": Reader(
            "val.json", [_json(results)], lambda place: _read_results(str(place / "val.json"), set(LABELS))
        ),
    }


def json_of(place: Path) -> object:
    """Return the content of a.json in a folder."""
    from clip2om.pipeline.artifact import load_json

    return load_json(place / "a.json", "")


def _arrays(folder: Path) -> Dict[str, Reader]:
    items = six_classes()
    scores = read_scores(from_manifest(folder / "batches", cards.load(CARD)), folder / "scores").scores
    write_arrays({"a.weight": np.ones((3, 4), np.float32), "b": np.arange(5)}, folder / "w.npz")
    with open(folder / "z.npz", "wb") as stream:
        np.savez_compressed(stream, a=np.ones((3, 4), np.float32))
    rows = np.stack([item.logits[0] for item in items]).astype(np.float32)
    shape = Shape(len(rows), rows.shape[1], "float32")
    text = "".join("".join(f"{value:.9g} " for value in row) + "\n" for row in rows).encode()

    def counted(place: Path) -> object:
        found = archive.read(place / "s.npz")
        outcome = count(found, Rules(1, "softmax"))
        return val_text(found.ids, found.labels, outcome.means, 1)

    good = archive.to_bytes(scores)
    members = _members(good)

    def zipped(place: Path) -> object:
        content = (place / "member").read_bytes()
        number = content[0] % len(members) if content else 0
        with zipfile.ZipFile(place / "s.npz", "w") as made:
            for index, (name, member) in enumerate(members):
                made.writestr(name, content[1:] if index == number else member)
        return counted(place)

    return {
        "scores.npz members": Reader(
            "member", [bytes([index]) + member for index, (_, member) in enumerate(members)], zipped
        ),
        "scores.npz": Reader("s.npz", [good], counted),
        "weights": Reader(
            "w.npz",
            [(folder / name).read_bytes() for name in ("w.npz", "z.npz")],
            lambda place: read_arrays(place / "w.npz"),
        ),
        "mean volume": Reader(
            "m.npy", [_npy(np.zeros((2, 4, 4, 3), np.float32))], lambda place: read_mean_volume(place / "m.npy", 2, 4)
        ),
        "result .npy": Reader("r.npy", [_npy(rows)], lambda place: read_result(place / "r.npy", shape)),
        "result .txt": Reader("r.txt", [text], lambda place: read_result(place / "r.txt", shape)),
        "result .bin": Reader("r.bin", [rows.tobytes()], lambda place: read_result(place / "r.bin", shape)),
    }


def _members(data: bytes) -> List[Tuple[str, bytes]]:
    with zipfile.ZipFile(io.BytesIO(data)) as found:
        return [(name, found.read(name)) for name in found.namelist()]


def _pictures() -> Dict[str, Reader]:
    image = Image.fromarray((np.arange(24 * 20 * 3) % 251).astype(np.uint8).reshape(24, 20, 3))
    seeds = []
    for form in ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "TGA", "ICO", "PCX", "DDS", "SGI", "EPS"):
        stream = io.BytesIO()
        image.save(stream, form)
        seeds.append(stream.getvalue())
    return {"frame": Reader("a.jpg", seeds, lambda p: as_array(open_picture((p / "a.jpg").read_bytes(), "a.jpg")))}


def _videos() -> Dict[str, Reader]:
    seeds = [path.read_bytes() for path in sorted(VIDEOS.glob("*.avi")) + sorted(VIDEOS.glob("*.mp4"))]
    seeds += [_made(form, codec) for form, codec in (("mp4", "mpeg4"), ("matroska", "mjpeg"), ("mpegts", "mpeg2video"))]

    def read(place: Path) -> object:
        path = str(place / "a.mp4")
        found = count_frames(path).count
        return [pixels.shape for _, pixels in read_video(path, range(1, min(found, 3) + 1), 1)]

    return {"video": Reader("a.mp4", seeds, read, share=0.1)}


def _made(form: str, codec: str) -> bytes:
    import av

    data = io.BytesIO()
    with av.open(data, "w", format=form) as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height = 64, 48
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        for number in range(6):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 40 * number, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return data.getvalue()


def _npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def _json(value: object) -> bytes:
    return json.dumps(value).encode()
