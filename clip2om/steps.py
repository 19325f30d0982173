"""What a call runs: one step per process, each with the command line of the stage or script that it is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import List, Optional, Tuple

from clip2om.commands import all_variables
from clip2om.option import Option
from clip2om.options import STAGES
from clip2om.request import Request


@dataclass(frozen=True)
class Step:
    """One process.

    Attributes:
        module: What Python runs, without ``clip2om.``.
        words: Its arguments.
        environment: The requirements it needs, a key of :data:`clip2om.environments.ENVIRONMENTS`.
        makes: Record of what it makes; None for a step whose result nothing else reads.
        needs: Files and folders of the user's that it reads.
        wanted: The option that names them, for an error.
        uses_up: File of a step before that nothing needs once this one is done.
    """

    module: str
    words: Tuple[str, ...]
    environment: str
    makes: Optional[Path] = None
    needs: Tuple[Path, ...] = ()
    wanted: str = ""
    uses_up: Optional[Path] = None

    def option(self, flag: str) -> str:
        """Return the value of one of its options; empty where it has none."""
        return self.words[self.words.index(flag) + 1] if flag in self.words else ""


def given(request: Request, stage: str, *own: Option) -> List[str]:
    """Return the options of the table that a stage takes and that were asked for, as its command line has them."""
    words: List[str] = []
    for option in (*STAGES, *own):
        flag = option.flags.get(stage)
        if flag is None or option.variable not in request.values:
            continue
        if option.switch:
            words.append(flag)
        elif option.words:
            words += [f"{flag}={value}" for value in request.values.several(option.variable)]
        else:
            words += [flag, request.values.one(option.variable)]
    return words


def export(request: Request, checkpoint: Path, several: bool = False) -> Step:
    """Return the step from checkpoint to graph; ``several``: one whose batch size is open."""
    size = (
        ["--dynamic-batch"]
        if several or request.dynamic or len(request.batches) > 1
        else ["--batch", str(request.batch), "--reuse-dynamic"]
    )
    rest = without(given(request, "export"), "--checkpoint")
    words = [*request.of_card(), *size, "--output", str(request.graph), "--checkpoint", str(checkpoint), *rest]
    return Step("export", tuple(words), request.framework, request.graph / "model.json", (checkpoint,), "CHECKPOINT")


def without(words: List[str], flag: str) -> List[str]:
    """Return words less an option and its value."""
    if flag not in words:
        return words
    at = words.index(flag)
    return [*words[:at], *words[at + 2 :]]


def preprocess(request: Request, needs: Tuple[Path, ...]) -> Step:
    """Return the step from dataset to batches."""
    words = [*request.of_card(), "--batch", str(request.batch), "--output", str(request.prepared)]
    words += given(request, "preprocess")
    return Step(
        "preprocess", tuple(words), "core", request.prepared / "manifest.json", needs, "VIDEO_PATH and ANNOTATION_PATH"
    )


def calibration(request: Request) -> Step:
    """Return the step that makes batches of the training split, nothing of which is in the batches that judge."""
    values = request.values
    clips = values.one("CALIBRATION", "300")
    words = [*request.of_card(), "--batch", str(request.batch), "--output", str(request.calibration)]
    words += ["--subset", "training", "--limit", clips]
    for variable, flag in (("VIDEO_PATH", "--video-path"), ("DTYPE", "--dtype"), ("WORKERS", "--workers")):
        words += [flag, values.one(variable)] if variable in values else []
    annotation = values.one("CALIBRATION_ANNOTATION") or values.one("ANNOTATION_PATH")
    words += ["--annotation-path", annotation] if annotation else []
    return Step("preprocess", tuple(words), "core", request.calibration / "manifest.json")


def convert(request: Request, batch: int) -> Step:
    """Return the step from graph to the compiled model of one batch size, or of several in one."""
    words = [*request.of_card(), "--graph", str(request.graph), "--soc", request.soc, *given(request, "convert")]
    words += [] if request.dynamic else ["--batch", str(batch)]
    if request.int8:
        words += ["--precision", "int8", "--calibration", str(request.calibration)]
        words += ["--calibration-clips", request.values.one("CALIBRATION", "300")]
    output = request.build / "compiled" / request.compiled_name(batch)
    return Step("convert", (*words, "--output", str(output)), "core", output / "model.json")


def quantize(request: Request) -> Step:
    """Return the step that makes an int8 model for the CPU and judges it."""
    words = [*request.of_card(), "--build", str(request.build), "--batch", str(request.batch)]
    words += ["--calibration-clips", request.values.one("CALIBRATION", "300"), *given(request, "quantize")]
    return Step("scripts.quantize", tuple(words), "quantize", request.compiled / "model.json")


def infer(request: Request) -> Step:
    """Return the step from batches to scores, or with LOOP to figures alone."""
    words = [*request.of_card(), "--compiled", str(request.compiled), "--batches", str(request.prepared)]
    words += ["--output", str(request.scores), *given(request, "infer")]
    made = None if "LOOP" in request.values else request.scores / "summary.json"
    return Step("infer", tuple(words), request.runner, made)


def accuracy(request: Request) -> Step:
    """Return the step from scores to results."""
    words = [*request.of_card(), "--batches", str(request.prepared), "--scores", str(request.scores)]
    words += ["--output", str(request.results), "-k", request.values.one("K", "1"), *given(request, "postprocess")]
    return Step("postprocess", tuple(words), "core", request.results / "accuracy.json")


def stream(request: Request) -> Step:
    """Return the step from videos to results with nothing on the disk between."""
    words = [*request.of_card(), "--compiled", str(request.compiled)]
    words += ["--output", str(request.build / "stream" / request.run_name), "-k", request.values.one("K", "1")]
    return Step("scripts.stream", (*words, *given(request, "stream")), request.runner)


def report(request: Request) -> Step:
    """Return the step from results to a page."""
    words = [*request.of_card(), "--results", str(request.results), "--scores", str(request.scores)]
    words += ["--compiled", str(request.compiled), "--graph", str(request.graph), "--batches", str(request.prepared)]
    words += given(request, "report", all_variables()["STRIPS"])
    return Step("scripts.report", tuple(words), "report")


def render_demo(request: Request, folder: Path) -> Step:
    """Return the step that renders the demo's videos."""
    everything = request.int8 or request.values.one("SUBSET", "validation") != "validation"
    words = [str(folder), "--subset", "all" if everything else "validation"]
    return Step("scripts.demo.dataset", (*words, *(["--quiet"] if request.quiet else [])), "core")


def exists(path: Path) -> bool:
    """Tell whether a file, a folder, or TensorFlow's files of one prefix are there."""
    return path.exists() or path.with_name(path.name + ".index").is_file()
