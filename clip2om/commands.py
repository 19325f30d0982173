"""The commands: what each is called, what it says of itself, and which options of :mod:`clip2om.options` it takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, Tuple

from clip2om import options as table
from clip2om.option import Option
from clip2om.options import EVERYWHERE, OF_A_MODEL, STAGES


@dataclass(frozen=True)
class Command:
    """One command.

    Attributes:
        name: On the command line, and in make unless ``target`` says otherwise.
        help: One line for a person.
        own: Options that ``help`` lists with it.
        taken: All that it takes, own ones included.
        target: Its name in make, where that is older.
        positional: The option whose values may stand without its name.
        example: Of a call.
    """

    name: str
    help: str
    own: Tuple[Option, ...] = ()
    taken: Tuple[Option, ...] = ()
    target: str = ""
    positional: Tuple[str, ...] = ()
    example: str = ""

    @property
    def options(self) -> Tuple[Option, ...]:
        """Every option, each once; where two share a variable, the command's own counts."""
        return tuple({option.variable: option for option in (*self.taken, *self.own)}.values())

    @property
    def about_a_model(self) -> bool:
        """True where there is a card, a build folder and a run to remember."""
        return table.MODEL in self.options

    @property
    def make_name(self) -> str:
        """Its name as a target of make."""
        return self.target or self.name


def _chain(name: str, words: str, own: Tuple[Option, ...], target: str = "", **more: object) -> Command:
    """Return a command of the chain: it takes every stage's options, so that one line of variables fits them all."""
    return Command(name, words, own, (*OF_A_MODEL, *STAGES, *own), target, **more)  # type: ignore[arg-type]


CHAIN = (
    _chain("demo", "everything on this machine's CPU: synthetic videos, a small trained model, accuracy, a report", ()),
    _chain("run", "videos and checkpoint to accuracy and its page: all five stages and the report", (table.STRIPS,)),
    _chain("export", "checkpoint -> ONNX, frozen .pb or MINDIR", table.EXPORT, "graph"),
    _chain("preprocess", "dataset -> batches", table.PREPROCESS, "batches"),
    _chain("convert", "graph -> compiled model: .om, or OpenVINO IR with SOC=cpu", table.CONVERT, "om"),
    _chain("infer", "batches x compiled model -> scores, throughput", table.INFER),
    _chain("accuracy", "scores -> val.json, accuracy.json", table.POSTPROCESS),
    _chain("stream", "videos -> val.json in one go, no batches on the disk", ()),
    _chain("report", "results -> report.html, one page to look at in a browser", (table.STRIPS,)),
    _chain(
        "predict",
        "videos -> labels",
        table.PREDICT,
        positional=("VIDEO",),
        example="clip2om predict clip.mp4 --timeline",
    ),
    _chain("parity", "framework, graph and compiled model on the same clips", table.PARITY),
    _chain("drift", "where graph and compiled model part, layer by layer", table.DRIFT),
    _chain("sweep", "throughput and latency per batch size", table.SWEEP),
    _chain("quantize", "an int8 model for the CPU, judged before it is used: om with PRECISION=int8", ()),
)
BESIDE = (
    Command(
        "compare",
        "two runs: where they part, who changed sides, which is faster",
        table.COMPARE,
        (*EVERYWHERE, table.MODEL, *table.PREPROCESS[:2]),
        positional=("A", "B"),
        example="clip2om compare build/3d_resnet/results/cpu-b10 build/3d_resnet/results/cpu-b10-int8",
    ),
    Command(
        "fuse",
        "late fusion: the weighted mean of two runs over the same videos",
        table.FUSE,
        (*EVERYWHERE, table.PREPROCESS[1]),
        positional=("A", "B"),
        example="clip2om fuse build/rgb/results/cpu-b10 build/flow/results/cpu-b10 --weights 1,1.5",
    ),
    Command("doctor", "can this host run each stage?", table.DOCTOR, EVERYWHERE),
    Command(
        "explain",
        "what an ATC, GE, runtime or ACL error means",
        table.EXPLAIN,
        OF_A_MODEL,
        positional=("CODE",),
        example="clip2om explain E10016",
    ),
    Command(
        "npu-selftest",
        "once on an NPU host: convert, infer, compare with the CPU, one page",
        table.SELFTEST,
        EVERYWHERE,
    ),
    Command(
        "checkpoint",
        "weights under the names of another framework: .pth, .ckpt, .npz",
        table.CHECKPOINT_NAMES,
        OF_A_MODEL,
        positional=("FROM", "TO"),
        example="clip2om checkpoint save.pth save.ckpt --model resnet3d_mindspore",
    ),
    Command(
        "card",
        "what a model card says, or which cards there are; with FROM, a card written from weights or a graph",
        table.NEW_CARD,
        (table.MODEL, table.SET, *EVERYWHERE),
        example="clip2om card --from model_4.pth --videos data",
    ),
)
# In a checkout only.
DEVELOPER = (
    Command("test", "every test suite, each in its framework's environment", (table.TESTS[0],), EVERYWHERE),
    Command("test-quick", "the tests that take two minutes in all", (), EVERYWHERE),
    Command("test-pytorch", "the suite of all stages, with PyTorch", table.TESTS[1:], EVERYWHERE),
    *(
        Command(f"test-{name}", f"what is exported from {words}, alone", table.TESTS[1:], EVERYWHERE)
        for name, words in (("tensorflow", "TensorFlow"), ("paddle", "PaddlePaddle"), ("mindspore", "MindSpore"))
    ),
    Command(
        "bench", "every row of docs/benchmarks.md beside its baseline; needs an idle machine", table.BENCH, EVERYWHERE
    ),
    Command("torture", "100,000 damaged files against every reader, 300 kills; an hour", (), EVERYWHERE),
    Command("docs", "docs/models.md from the cards, docs/commands.md from this table", (), EVERYWHERE),
    Command("lint", "ruff and mypy", (), EVERYWHERE),
    Command("browser", "Chromium from the system's packages, for the tests of the pages", (), EVERYWHERE),
    Command("clean", "delete build/ (checkpoints, datasets and environments stay)", (), EVERYWHERE),
)
COMMANDS = (*CHAIN, *BESIDE, *DEVELOPER)


def by_name() -> Dict[str, Command]:
    """Return the commands by every name they have."""
    found = {command.make_name: command for command in COMMANDS}
    return {**found, **{command.name: command for command in COMMANDS}}


def all_variables() -> Dict[str, Option]:
    """Return every option of every command by its variable."""
    return {option.variable: option for command in COMMANDS for option in command.options}
