"""The steps themselves: each puts its arguments into the words of its stage's command line, and reads its records."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Mapping, Optional, Sequence, Union

from clip2om.api.calling import PathLike, card_words, folder_of, option, parsed, switch, telling
from clip2om.api.results import Accuracy, Batches, Card, Graph, Model, Run, Share, VideoScores


def load_card(model: str, override: Optional[Mapping[str, object]] = None) -> Card:
    """Load a card by name or by the path of its ``.toml`` file.

    Args:
        model: ``3d_resnet`` or ``path/to/card.toml``.
        override: Entries to override, by ``section.key``: ``{"model.depth": 18}``.

    Raises:
        RequestError: no such card, an unknown key, a wrong type or an impossible value.
    """
    # JSON writes strings, numbers, booleans and lists as TOML does.
    overrides = tuple(f"{key}={json.dumps(value)}" for key, value in (override or {}).items())
    with telling():
        from clip2om.pipeline import cards

        card = cards.load(str(model), overrides)
        return Card(
            model=str(model),
            overrides=overrides,
            name=card.name,
            framework=card.model.framework,
            network=card.model.network,
            classes=card.model.classes,
            labels=tuple(card.labels()),
            batch=card.input.batch,
            clip=tuple(card.input.shape),
        )


def export(
    card: Card,
    *,
    output: PathLike,
    checkpoint: Optional[PathLike] = None,
    format: Optional[str] = None,
    batch: Optional[int] = None,
    dynamic_batch: bool = False,
    input_dtype: Optional[str] = None,
    opset: Optional[int] = None,
    max_diff: Optional[float] = None,
    force: bool = False,
) -> Graph:
    """Turn a checkpoint into a graph and compare it with its framework, which this Python must have.

    Args:
        card: The model.
        output: Folder of the graph.
        checkpoint: Trained weights (default: the card's).
        format: ``onnx``, ``pb``, ``mindir`` or ``air`` (default: the card's or the framework's).
        batch: Clips per execution (default: the card's).
        dynamic_batch: Leave the batch size open.
        input_dtype: ``float32``, or ``uint8``: the graph takes pixels and normalises.
        opset: ONNX operator set (default: the card's).
        max_diff: Largest difference from the framework, relative to max(1, largest logit) (default: 1e-4).
        force: Export again what is up to date.

    Raises:
        RequestError: the framework, the checkpoint or the request is not right.
        ShortfallError: the graph differs by more than ``max_diff``.
    """
    words = [*card_words(card), "--output", output, *option("--checkpoint", checkpoint), *option("--format", format)]
    words += [*option("--batch", batch), *switch("--dynamic-batch", dynamic_batch), *switch("--force", force)]
    words += [*option("--input-dtype", input_dtype), *option("--opset", opset), *option("--max-diff", max_diff)]
    with telling():
        from clip2om.export import __main__ as stage
        from clip2om.pipeline.records import GraphRecord, read_record

        stage.export(parsed(stage.make_parser(), words))
        record = read_record(Path(output) / "model.json", GraphRecord, "export again")
        return Graph(
            folder=Path(output),
            file=Path(output) / record.file,
            format=record.format,
            batch=record.inputs[0].batch,
            sha256=record.sha256,
            max_abs_diff=record.parity.max_abs_diff,
            max_abs=record.parity.max_abs,
            cosine=record.parity.cosine,
        )


def preprocess(
    card: Card,
    *,
    output: PathLike,
    videos: Optional[PathLike] = None,
    annotation: Optional[PathLike] = None,
    subset: Optional[str] = None,
    batch: Optional[int] = None,
    dtype: Optional[str] = None,
    layout: str = "packed",
    max_clips: Optional[int] = None,
    limit: Optional[int] = None,
    workers: Optional[int] = None,
    strict: bool = False,
    force: bool = False,
) -> Batches:
    """Cut the videos of a dataset into clips and pack them into batches.

    It starts processes: a program calls it below ``if __name__ == "__main__":``, as :mod:`multiprocessing` asks.

    Args:
        card: The model, with its sampler, transform and dataset.
        output: Folder of the batches.
        videos: ``DIR/label/id/`` of frames or ``DIR/label/id.avi`` (default: the card's).
        annotation: JSON, list or folder, as the card's ``dataset.format`` says (default: the card's).
        subset: ``training``, ``validation`` or ``testing`` (default: the card's).
        batch: Clips per file (default: the card's).
        dtype: ``float32`` or ``uint8`` (default: the card's).
        layout: ``packed``, ``per-video`` or ``per-clip``.
        max_clips: Keep the first so many clips of a video (default: the card's; 0 keeps all).
        limit: So many videos, spread over the classes, always the same ones.
        workers: Processes (default: one per core).
        strict: Stop at the first video that cannot be used instead of skipping it.
        force: Make every file anew.

    Raises:
        RequestError: no such dataset, no video that can be used, or no space for the batches.
    """
    words = [*card_words(card), "--output", output, "--layout", layout, *option("--video-path", videos)]
    words += [*option("--annotation-path", annotation), *option("--subset", subset), *option("--batch", batch)]
    words += [*option("--dtype", dtype), *option("--max-clips", max_clips), *option("--limit", limit)]
    words += [*option("--workers", workers), *switch("--strict", strict), *switch("--force", force)]
    with telling():
        from clip2om.pipeline.manifest import read_manifest
        from clip2om.preprocess import __main__ as stage

        stage.preprocess(parsed(stage.make_parser(), words))
        manifest = read_manifest(Path(output))
        return Batches(
            folder=Path(output),
            clips=manifest.clips,
            videos=len(manifest.videos),
            files=len(manifest.files),
            batch=manifest.tensor.batch,
            skipped={item.id: item.reason for item in manifest.skipped},
        )


def convert(
    card: Card,
    graph: Union[Graph, PathLike],
    *,
    output: PathLike,
    soc: str = "auto",
    batch: Optional[int] = None,
    format: str = "auto",
    precision: str = "f32",
    calibration: Union[Batches, PathLike, None] = None,
    calibration_clips: Optional[int] = None,
    precision_mode: Optional[str] = None,
    force: bool = False,
) -> Model:
    """Compile a graph for the device that will run it.

    Args:
        card: The model.
        graph: What :func:`export` gave, or its folder.
        output: Folder of the compiled model.
        soc: ``cpu``, a ``--soc_version`` of ATC such as ``Ascend310P3``, or
            ``auto``: what npu-smi reports, else the CPU.
        batch: Clips per execution (default: the graph's, else the card's).
        format: For the CPU: ``openvino``, ``onnx``, ``mindir`` or ``auto``.
        precision: ``f32``, or ``int8`` for the CPU, which needs ``calibration``.
        calibration: Batches of the training split to take value ranges from.
        calibration_clips: Clips of it (default: 300).
        precision_mode: For ATC (default: the card's).
        force: Compile again what is up to date.

    Raises:
        RequestError: no such graph, a converter that is not there or refuses the graph.
    """
    words = [*card_words(card), "--graph", folder_of(graph), "--output", output, "--soc", soc, "--format", format]
    words += ["--precision", precision, *option("--batch", batch), *option("--precision-mode", precision_mode)]
    words += [*option("--calibration", None if calibration is None else folder_of(calibration))]
    words += [*option("--calibration-clips", calibration_clips), *switch("--force", force)]
    with telling():
        from clip2om.convert import __main__ as stage
        from clip2om.pipeline.records import CompiledRecord, read_record

        stage.convert(parsed(stage.make_parser(), words))
        record = read_record(Path(output) / "model.json", CompiledRecord, "convert again")
        return Model(
            folder=Path(output),
            file=Path(output) / record.file,
            format=record.format,
            soc=record.soc,
            batch=record.batch,
            precision=record.precision,
        )


def infer(
    model: Union[Model, PathLike],
    batches: Union[Batches, PathLike],
    *,
    output: PathLike,
    engine: str = "auto",
    precision: Optional[str] = None,
    devices: Sequence[int] = (),
    streams: Optional[int] = None,
    requests: Optional[int] = None,
    warmup: int = 1,
    force: bool = False,
) -> Run:
    """Run batches through a compiled model and keep the scores.

    Args:
        model: What :func:`convert` gave, or its folder.
        batches: What :func:`preprocess` gave, or its folder.
        output: Folder of the scores.
        engine: ``openvino``, ``onnxruntime``, ``mindspore``, ``acl``, ``ais_bench``, ``msame`` or ``auto``.
        precision: Of the arithmetic, ``f32``, ``bf16`` or ``int8`` (default: the model's own).
        devices: NPUs to share the batches.
        streams: Batches computed at the same time (default: the engine's).
        requests: Batches in flight (default: the engine's).
        warmup: Batches per request before the clock starts.
        force: Score again what is up to date.

    Raises:
        RequestError: the batches do not fit the model, no engine can run it, or the engine fails.
    """
    words = ["--compiled", folder_of(model), "--batches", folder_of(batches), "--output", output, "--engine", engine]
    words += ["--warmup", warmup, *option("--precision", precision), *option("--streams", streams)]
    words += [*option("--devices", ",".join(map(str, devices)) or None), *option("--requests", requests)]
    words += switch("--force", force)
    with telling():
        from clip2om.infer import __main__ as stage
        from clip2om.pipeline.records import Summary, read_record

        stage.infer(parsed(stage.make_parser(), words))
        summary = read_record(Path(output) / "summary.json", Summary, "infer again")
        figures = summary.throughput
        return Run(
            folder=Path(output),
            engine=summary.engine,
            engine_version=summary.engine_version,
            device=summary.device,
            precision=summary.precision,
            clips_per_s=figures.wall.clips_per_s if figures else None,
            batch_ms=figures.latency.mean_ms if figures else None,
        )


def score(
    card: Card, batches: Union[Batches, PathLike], run: Union[Run, PathLike], *, max_clips: int = 0
) -> VideoScores:
    """Return the scores of each video: the card's activation for each clip, then the mean over the video's clips.

    Args:
        card: The model.
        batches: What :func:`preprocess` gave, or its folder.
        run: What :func:`infer` gave, or the folder of any runner's result files.
        max_clips: Use the first so many clips of a video, 0 for all.

    Raises:
        RequestError: the scores are not those of these batches, or not whole.
    """
    with telling():
        from clip2om.pipeline import cards
        from clip2om.postprocess.accuracy import Rules, count
        from clip2om.postprocess.batches import from_manifest
        from clip2om.postprocess.reading import read_scores

        found = read_scores(from_manifest(folder_of(batches), cards.load(card.model, card.overrides)), folder_of(run))
        outcome = count(found.scores, Rules(1, found.scores.origin.activation, max_clips))
        return VideoScores(
            ids=tuple(outcome.scores.ids),
            labels=tuple(outcome.scores.labels),
            truth=outcome.scores.truth,
            scores=outcome.means,
            absent={item.id: item.reason for item in outcome.scores.absent},
        )


def evaluate(
    card: Card,
    batches: Union[Batches, PathLike],
    run: Union[Run, PathLike],
    *,
    output: PathLike,
    k: int = 1,
    min_accuracy: Optional[float] = None,
    max_clips: int = 0,
    annotation: Optional[PathLike] = None,
    ignore: bool = False,
) -> Accuracy:
    """Count how many videos are right, and write ``accuracy.json``, ``val.json`` and ``scores.npz``.

    Args:
        card: The model.
        batches: What :func:`preprocess` gave, or its folder.
        run: What :func:`infer` gave, or the folder of any runner's result files.
        output: Folder of the results.
        k: Classes per video in ``val.json``, and the k of ``min_accuracy``.
        min_accuracy: What top-k over videos must reach, 0 to 1.
        max_clips: Use the first so many clips of a video, 0 for all.
        annotation: Another ground truth than that of the batches.
        ignore: Leave videos without scores out; they count as wrong otherwise.

    Raises:
        RequestError: the scores are not those of these batches, or not whole.
        ShortfallError: top-k is below ``min_accuracy``; the results are written all the same.
    """
    words = [
        *card_words(card),
        "--batches",
        folder_of(batches),
        "--scores",
        folder_of(run),
        "--output",
        output,
        "-k",
        k,
    ]
    words += ["-k", k, "--max-clips", max_clips, *option("--min-accuracy", min_accuracy), *switch("--ignore", ignore)]
    words += option("--annotation-path", annotation)
    with telling():
        from clip2om.pipeline.artifact import read_json
        from clip2om.pipeline.typed import from_dict
        from clip2om.postprocess import __main__ as stage
        from clip2om.postprocess import accuracy, options

        stage.score(parsed(options.stage_parser(), words))
        path = Path(output) / "accuracy.json"
        found = from_dict(accuracy.Accuracy, read_json(path, "accuracy", accuracy.VERSION, "evaluate again"), path)
        return Accuracy(
            folder=Path(output),
            videos={name: Share(**vars(part)) for name, part in found.video.items()},
            clips={name: Share(**vars(part)) for name, part in found.clip.items()},
            per_class={item.label: Share(**vars(item.accuracy)) for item in found.per_class},
            mean_class=found.mean_class.value,
        )
