"""What can be known to be wrong before the first stage starts is said then, not hours later."""

from __future__ import annotations

from pathlib import Path
from typing import List, Sequence

from clip2om import option
from clip2om.pipeline.atc_program import find_atc
from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.file_kinds import kind_of
from clip2om.pipeline.records import CompiledRecord, find_record
from clip2om.pipeline.soc import CPU
from clip2om.request import Request
from clip2om.space import check_space
from clip2om.steps import Step, exists

_ON_CPU = ("auto", "openvino", "onnxruntime", "mindspore")
_ON_NPU = ("auto", "acl", "ais_bench", "msame", "mindspore")
# Fewer calibration clips give value ranges that are chance; the convert stage has the same number.
_LEAST_CALIBRATION = 32
_ONE_SIZE = ("infer", "accuracy", "stream", "report", "run", "predict", "parity", "drift", "preprocess", "demo")


def check_request(command: str, request: Request) -> None:
    """Refuse options that exclude each other, a card that does not fit its labels, and engines that cannot be.

    Raises:
        RequestError: naming the options as this door spells them.
    """
    _check_sizes(command, request)
    _check_engine(request)
    if "GRAPH_FILE" in request.given and not request.adopts:
        fix = request.values.spelled("SET", "model.framework=onnx")
        raise RequestError(
            f"card {request.card.name} is of {request.card.model.framework}, a graph needs one of framework onnx",
            request.values.spelled("GRAPH_FILE", request.given.one("GRAPH_FILE")),
            f"say {fix}, or write a card of it with clip2om card --from FILE",
        )
    values, card = request.values, request.card
    card.class_names()
    if "K" in values and int(values.one("K")) > card.model.classes:
        raise RequestError(
            f"{values.one('K')} classes are asked for, the card has {card.model.classes}",
            card.path,
            "choose a smaller one",
        )
    if command == "compare" and not ("A" in values and "B" in values):
        raise RequestError("two runs are needed", None, f"give {values.name('A')} and {values.name('B')}")
    if command == "predict" and "VIDEO" not in values:
        example = "VIDEO=clip.mp4" if values.make else "clip2om predict clip.mp4"
        raise RequestError("no video is named", None, f"for example {example}")
    _check_files(request)


def _check_sizes(command: str, request: Request) -> None:
    values, several = request.values, len(request.batches) > 1
    batch = values.one("BATCH")
    if request.int8 and (several or request.dynamic):
        raise RequestError(
            f"{values.spelled('PRECISION', 'int8')} takes one batch size",
            None,
            values.spelled("BATCH", "10"),
        )
    if several and command in _ONE_SIZE:
        first = request.values.spelled("BATCH", str(request.batch))
        raise RequestError(
            f"{command} takes one batch size, {values.name('BATCH')} is {batch}",
            None,
            f"make one model per size with om, then {command} with {first}",
        )
    if request.dynamic and request.soc == CPU:
        raise RequestError(
            "one model for several batch sizes is for an NPU; on the CPU there is one model per size",
            values.name("DYNAMIC_BATCH"),
            f"{values.spelled('SOC', 'Ascend310P3')}, or {values.spelled('BATCH', request.dynamic)} with om",
        )
    calibration = int(values.one("CALIBRATION", "300"))
    if request.int8 and calibration < _LEAST_CALIBRATION:
        raise RequestError(
            f"{calibration} clips are too few to take value ranges from",
            values.name("CALIBRATION"),
            f"give {_LEAST_CALIBRATION} or more; 300 are usual",
        )


def _check_engine(request: Request) -> None:
    engine = request.values.one("ENGINE", "auto")
    able = _ON_CPU if request.soc == CPU else _ON_NPU
    if engine not in able:
        raise RequestError(
            f"{engine} cannot run a model for {request.soc}",
            request.values.name("ENGINE"),
            f"choose one of: {', '.join(able)}; or name the device with {request.values.name('SOC')}",
        )


def _check_files(request: Request) -> None:
    for variable in ("CALIBRATION_ANNOTATION", "LABELS", "FONT"):
        path = request.given.one(variable)
        if path and not Path(path).exists():
            raise RequestError("no such file", request.values.spelled(variable, path), "check the path")


def check_steps(request: Request, steps: Sequence[Step]) -> None:
    """Refuse steps whose inputs are not there or are not what they are for, and environments that cannot be made.

    Raises:
        RequestError: naming what is missing and the option that gives it.
    """
    for step in steps:
        if step.module == "export" and step.needs:
            _check_checkpoint(request, step.needs[0])
        if step.module == "preprocess" and step.needs:
            _check_dataset(request, step.needs)
        if step.module in ("convert", "scripts.sweep"):
            _check_compiler(request)
    request.environments.check(list(dict.fromkeys(step.environment for step in steps)))


def _check_compiler(request: Request) -> None:
    """Refuse a chip that nothing here can compile for, unless its model is there."""
    if request.soc == CPU or "DRY_RUN" in request.values or request.mindir or model_fits(request):
        return
    find_atc(request.soc)


def _check_checkpoint(request: Request, path: Path) -> None:
    variable = "GRAPH_FILE" if request.adopts else "CHECKPOINT"
    spelled = request.values.spelled(variable, "FILE")
    if not request.values.one(variable) and not request.card.model.checkpoint:
        raise RequestError("model.checkpoint is empty", request.card.path, f"give {spelled}")
    if not exists(path):
        what = "graph" if request.adopts else "checkpoint"
        todo = "check the path" if variable in request.given else f"give the trained weights: {spelled}"
        raise RequestError(f"no such {what}", path, todo)
    if path.is_file() and not request.adopts:
        refuse_what_is_no_checkpoint(path)


def refuse_what_is_no_checkpoint(path: Path) -> None:
    """Refuse files that only stand for weights, by their first bytes; the export stage looks closer.

    Raises:
        RequestError: empty, a git-lfs pointer, a web page, an archive with a checkpoint in it, a graph, ...
    """
    if not path.stat().st_size:
        raise RequestError("is empty, expected trained weights", path, "copy or download it again")
    kind = kind_of(path)
    if kind is not None and not kind.weights:
        raise RequestError(kind.words, path, kind.todo)


def _check_dataset(request: Request, needs: "tuple[Path, ...]") -> None:
    from clip2om.preprocess.annotations import read_annotation

    annotation, videos = needs
    values, card = request.values, request.card
    if not videos.is_dir():
        where = "is no folder" if videos.exists() else "no such folder"
        raise RequestError(where, videos, f"name that of the frames or videos: {values.spelled('VIDEO_PATH', 'DIR')}")
    if not annotation.exists():
        raise RequestError(
            "no such annotation",
            annotation,
            f"write one with python -m scripts.annotate, and name it: {values.spelled('ANNOTATION_PATH', 'FILE')}",
        )
    found = read_annotation(card, str(annotation), values.one("SUBSET") or card.dataset.subset)
    check_classes(request, found.labels or [], annotation)
    check_space(request, found, videos)


def check_classes(request: Request, labels: List[str], where: Path) -> None:
    """Refuse a dataset of another number of classes than the network has.

    Raises:
        RequestError: there are more labels than classes, or fewer.
    """
    classes = request.card.model.classes
    if labels and len(labels) != classes:
        fix = request.values.spelled("SET", f"model.classes={len(labels)}")
        raise RequestError(
            f"has {len(labels)} classes, the network of card {request.card.name} gives {classes} scores",
            where,
            f"take the dataset that it was trained for, or say {fix} if its weights have {len(labels)}",
        )


def batches_fit(request: Request) -> bool:
    """Tell whether the batches that are there are what is asked for, as far as can be seen without the dataset.

    Raises:
        RequestError: they are not.
    """
    from clip2om.pipeline.manifest import read_manifest

    manifest = read_manifest(request.prepared)
    values, card = request.values, request.card
    found = {
        "BATCH": (str(manifest.tensor.batch), str(request.batch)),
        "DTYPE": (manifest.tensor.dtype, values.one("DTYPE", card.input.dtype)),
        "LAYOUT": (manifest.layout, values.one("LAYOUT", "packed")),
        "SUBSET": (manifest.subset, values.one("SUBSET", manifest.subset)),
    }
    for variable, (there, asked) in found.items():
        if there != asked:
            raise RequestError(
                f"the batches that are there were made with {request.values.spelled(variable, there)}, "
                f"asked for is {asked}, and the dataset to make others is not here",
                request.prepared,
                f"say {request.values.spelled(variable, there)}, or name the dataset with {values.name('VIDEO_PATH')}",
            )
    if manifest.card != card.name:
        raise RequestError(f"are batches of card {manifest.card!r}, asked for is {card.name!r}", request.prepared)
    return True


def model_fits(request: Request) -> bool:
    """Tell whether a compiled model is there that is what is asked for, as far as can be seen without its graph."""
    record = find_record(request.compiled / "model.json", CompiledRecord)
    if record is None or record.card != request.card.name or record.soc != request.soc:
        return False
    gears = option.sizes(request.dynamic) if request.dynamic else ()
    return tuple(record.gears) == tuple(sorted(gears)) if gears else record.batch == request.batch
