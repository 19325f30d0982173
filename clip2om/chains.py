"""What has to run for what is asked: every command's chain of steps, those left out whose inputs are not here."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Callable, Dict, List, Tuple

from clip2om import options, steps
from clip2om.checks import batches_fit, model_fits
from clip2om.pipeline.artifact import sha256_file
from clip2om.pipeline.file_kinds import is_pytorch
from clip2om.pipeline.soc import CPU
from clip2om.request import Request
from clip2om.steps import Step, given

# Where the demo's videos are rendered, as its card says.
DEMO_DATA = Path("build", "demo_data")


@dataclass
class Chain:
    """The steps of one call, in order, and what there is to say about those that were left out.

    A step is left out where its inputs are not on this host but what it makes is: batches and models travel to other
    hosts without the dataset and the weights that they came from. The stages themselves see what is up to date.
    """

    request: Request
    steps: List[Step] = field(default_factory=list)
    notes: List[str] = field(default_factory=list)

    def export(self, several: bool = False) -> None:
        """Add what makes the graph; ``several``: one with an open batch size."""
        request = self.request
        checkpoint = request.checkpoint
        variable = "GRAPH_FILE" if request.adopts else "CHECKPOINT"
        if self._absent(checkpoint, variable) and (request.graph / "model.json").is_file():
            self.notes.append(f"{request.graph}: its weights are not here ({checkpoint}): taken as it is")
            # The stage looks whether the graph is what is asked for, and needs no framework to do so.
            step = steps.export(request, checkpoint, several)
            self.steps.append(Step(step.module, (*step.words, "--keep"), "core", step.makes))
            return
        step = steps.export(request, self._renamed(checkpoint), several)
        # What a step before makes is not there yet; the user's own file is what can be missing.
        self.steps.append(replace(step, needs=(checkpoint,)))

    def _renamed(self, checkpoint: Path) -> Path:
        """Return weights of PyTorch for a network of MindSpore under its names, which a step before gives them.

        The file is called after what is in it, so that it never has to be made twice, nor is it ever another one's.
        """
        if self.request.framework != "mindspore" or _environment_of(checkpoint) != "torch":
            return checkpoint
        if not checkpoint.is_file() or checkpoint.suffix == ".safetensors":
            return checkpoint
        output = self.request.build / "checkpoint" / f"{sha256_file(checkpoint)[:16]}.ckpt"
        if not output.is_file():
            self.rename(checkpoint, output)
        return output

    def rename(self, source: Path, target: Path) -> None:
        """Add the steps that write weights under another framework's names: between two frameworks through .npz."""
        words = (*self.request.of_card(),)
        names = [kind for kind in map(_environment_of, (source, target)) if kind]
        if len(names) == 2:
            between = target.with_name(target.name + ".npz")
            self.steps.append(Step("export.checkpoint", (*words, str(source), str(between)), names[0]))
            last = Step("export.checkpoint", (*words, str(between), str(target)), names[1], uses_up=between)
            self.steps.append(last)
        else:
            home = names[0] if names else self.request.framework
            self.steps.append(Step("export.checkpoint", (*words, str(source), str(target)), home))

    def preprocess(self) -> None:
        """Add what makes the batches."""
        request = self.request
        if request.demo:
            self._demo_videos()
        needs: Tuple[Path, ...] = () if request.demo else dataset_of(request)
        absent = [path for path, name in zip(needs, ("ANNOTATION_PATH", "VIDEO_PATH")) if self._absent(path, name)]
        manifest = request.prepared / "manifest.json"
        if manifest.is_file() and absent and batches_fit(request):
            self.notes.append(f"{request.prepared}: the dataset is not here ({absent[0]}): taken as they are")
            return
        self.steps.append(steps.preprocess(request, needs))

    def _demo_videos(self) -> None:
        step = steps.render_demo(self.request, DEMO_DATA)
        if step not in self.steps:
            self.steps.append(step)

    def _absent(self, path: Path, variable: str) -> bool:
        """Tell whether an input is not on this host, and was not named in this call."""
        return variable not in self.request.given and not steps.exists(path)

    def convert(self, several: bool = False) -> None:
        """Add what makes the compiled model; ``several``: from a graph with an open batch size."""
        request = self.request
        model = request.compiled / "model.json"
        if not self._can_export() and model.is_file() and model_fits(request):
            self.notes.append(f"{request.compiled}: its graph is not here: taken as it is")
            return
        self.export(several)
        if not request.int8:
            self.steps += [steps.convert(request, batch) for batch in request.batches]
            return
        if request.soc == CPU:
            self.preprocess()
        elif request.demo:
            self._demo_videos()
        self.steps.append(steps.calibration(request))
        self.steps.append(steps.quantize(request) if request.soc == CPU else steps.convert(request, request.batch))

    def _can_export(self) -> bool:
        request = self.request
        graph = (request.graph / "model.json").is_file()
        variable = "GRAPH_FILE" if request.adopts else "CHECKPOINT"
        return graph or not self._absent(request.checkpoint, variable)

    def _can_convert(self) -> bool:
        return (self.request.compiled / "model.json").is_file() or self._can_export()

    def _can_preprocess(self) -> bool:
        request = self.request
        if request.demo or (request.prepared / "manifest.json").is_file():
            return True
        needs = zip(dataset_of(request), ("ANNOTATION_PATH", "VIDEO_PATH"))
        return not any(self._absent(path, name) for path, name in needs)

    def _travelled(self, made: Path, what: str) -> bool:
        """Tell whether a result came to this host without what it was made of, and say so."""
        if not made.is_file() or (self._can_convert() and self._can_preprocess()):
            return False
        self.notes.append(f"{made.parent}: {what} are not here: taken as they are")
        return True

    def infer(self) -> None:
        """Add what makes scores."""
        if self._travelled(self.request.scores / "summary.json", "their model or batches"):
            return
        self.convert()
        if not any(step.makes == self.request.prepared / "manifest.json" for step in self.steps):
            self.preprocess()
        self.steps.append(steps.infer(self.request))

    def accuracy(self) -> None:
        """Add what makes results."""
        request = self.request
        counted = (request.scores / "summary.json", request.prepared / "manifest.json")
        there = all(path.is_file() for path in counted)
        if not there and self._travelled(request.results / "accuracy.json", "their scores or batches"):
            return
        self.infer()
        self.steps.append(steps.accuracy(request))

    def report(self) -> None:
        """Add what makes the page."""
        self.accuracy()
        self.steps.append(steps.report(self.request))

    def stream(self) -> None:
        """Add what scores videos as they are decoded."""
        self.convert()
        if self.request.demo:
            self._demo_videos()
        self.steps.append(steps.stream(self.request))

    def predict(self) -> None:
        """Add what labels videos."""
        self.convert()
        request = self.request
        words = [*request.of_card(), "--compiled", str(request.compiled), "-k", request.given.one("K", "5")]
        words += given(request, "predict", *options.PREDICT)
        self.steps.append(Step("scripts.predict", (*words, *request.values.several("VIDEO")), request.runner))

    def parity(self) -> None:
        """Add what compares framework, graph and compiled model."""
        self.infer()
        self.steps.pop()
        request = self.request
        words = [*request.of_card(), "--graph", str(request.graph), "--compiled", str(request.compiled)]
        words += ["--batches", str(request.prepared), "--output", str(request.build / "parity")]
        words += ["--export-python", request.environments.interpreter(request.framework)]
        exported = [step for step in self.steps if step.module == "export"]
        words += ["--checkpoint", exported[-1].option("--checkpoint")] if exported else []
        rest = given(request, "parity", *options.PARITY)
        rest = steps.without(rest, "--checkpoint")
        self.steps.append(Step("scripts.parity", (*words, *rest), request.runner))

    def drift(self) -> None:
        """Add what finds the layer in which two executions part."""
        request = self.request
        self.preprocess()
        against = request.values.one("AGAINST")
        if against:
            self.export()
        else:
            self.convert()
        words = [*request.of_card(), "--graph", str(request.graph), "--batches", str(request.prepared)]
        words += ["--output", str(request.build / "drift"), "--against", against or f"{request.compiled}/"]
        self.steps.append(Step("scripts.drift", (*words, *given(request, "drift", *options.DRIFT)), "drift"))

    def sweep(self) -> None:
        """Add what measures each batch size: one model per size comes from a graph with an open one."""
        request = self.request
        self.export(several=True)
        words = [*request.of_card(), "--graph", str(request.graph), "--soc", request.soc]
        words += ["--batches", request.values.one("BATCHES", "1,2,4,8,10,16"), "--compiled"]
        words += [str(request.build / "compiled"), "--output", str(request.build / "sweep" / request.soc)]
        words += given(request, "sweep", *options.SWEEP)
        self.steps.append(Step("scripts.sweep", tuple(words), "mindspore" if request.mindir else "plot"))


def _environment_of(path: Path) -> str:
    """Return the environment that reads or writes weights in a file; empty for arrays of no framework."""
    if path.is_file() and path.suffix != ".npz" and is_pytorch(path):
        return "torch"
    return {".pth": "torch", ".pt": "torch", ".ckpt": "mindspore"}.get(path.suffix, "")


def dataset_of(request: Request) -> Tuple[Path, Path]:
    """Return annotation and videos of a call: its own, or the card's."""
    from clip2om.preprocess.annotations import find_annotation

    values, card = request.values, request.card
    videos = values.one("VIDEO_PATH")
    path = find_annotation(card, values.one("ANNOTATION_PATH") or None, videos or None, values.one("SUBSET") or None)
    own = path if card.dataset.format == "folders" else str(card.resolve(card.dataset.videos))
    return Path(path), Path(videos or own)


def chain_of(command: str, request: Request) -> Chain:
    """Return the steps of a command of the chain.

    Raises:
        RequestError: the request does not hold together.
    """
    chain = Chain(request)
    build: Dict[str, Callable[[], None]] = {
        "export": chain.export,
        "preprocess": chain.preprocess,
        "convert": lambda: chain.convert(len(request.batches) > 1),
        "quantize": chain.convert,
        "infer": chain.infer,
        "accuracy": chain.accuracy,
        "stream": chain.stream,
        "run": chain.report,
        "demo": chain.report,
        "report": chain.report,
        "predict": chain.predict,
        "parity": chain.parity,
        "drift": chain.drift,
        "sweep": chain.sweep,
    }
    build[command]()
    # Equal steps (the demo's videos) once.
    chain.steps = list(dict.fromkeys(chain.steps))
    return chain
