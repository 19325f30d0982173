"""The one table of options: parsers, help, completion, the check for typing errors and docs/commands.md come from it.

An option is known by its variable, ``MAX_CLIPS``, which is what make takes; on a command line it is ``--max-clips``.
"""

from __future__ import annotations

from typing import Dict

from clip2om.option import Option, devices, number, one_of, override, share, sizes
from clip2om.pipeline.command import count, positive


def _to(flag: str, *takers: str) -> Dict[str, str]:
    return dict.fromkeys(takers, flag)


ENGINES = ("auto", "openvino", "onnxruntime", "mindspore", "acl", "ais_bench", "msame")
_INFERS = ("infer", "stream", "sweep")
_DATA = ("preprocess", "stream")
_COUNTS = ("postprocess", "stream")

# For every command that is about a model.
MODEL = Option("MODEL", "CARD", "model card: a name of models/, or a .toml file (default: 3d_resnet)")
SET = Option(
    "SET", "KEY=VALUE", "override an entry of the card, e.g. model.depth=18", {}, override, remembered=True, words=True
)
BUILD = Option("BUILD", "DIR", "folder of everything that is made (default: build/CARD)")
QUIET = Option("QUIET", "", "only warnings and results")
# Where the stages run.
PYTHON = Option("PYTHON", "FILE", "this interpreter instead of the environments of .venv/")
VENV = Option("VENV", "DIR", "folder of the environments (default: .venv)")
VENV_PYTHON = Option("VENV_PYTHON", "FILE", "interpreter that environments are made with (default: python3)")
EVERYWHERE = (QUIET, PYTHON, VENV, VENV_PYTHON)
OF_A_MODEL = (MODEL, SET, BUILD, *EVERYWHERE)

EXPORT = (
    Option(
        "CHECKPOINT",
        "FILE",
        "trained weights (default: the card's)",
        _to("--checkpoint", "export", "parity"),
        remembered=True,
    ),
    Option(
        "GRAPH_FILE",
        "FILE",
        "an ONNX graph that is there already, for a card whose model.framework is onnx",
        remembered=True,
    ),
    Option(
        "ALLOW_CODE",
        "",
        "run the code that the card names as its network (model.network with a colon)",
        _to("--allow-code", "export", "parity"),
        remembered=True,
    ),
    Option(
        "WEIGHTS",
        "WHICH",
        "raw or average, where a checkpoint holds both (default: what it has as its weights)",
        _to("--weights", "export"),
        one_of("raw", "average"),
        remembered=True,
    ),
    Option(
        "BATCH",
        "N",
        "clips per execution (default: the card's); for om also several, 1,4,8: one model each",
        {},
        sizes,
        remembered=True,
    ),
    Option(
        "DTYPE",
        "DTYPE",
        "float32, or uint8: the graph takes pixels (default: the card's)",
        {"export": "--input-dtype", "preprocess": "--dtype"},
        one_of("float32", "uint8"),
        remembered=True,
    ),
    Option(
        "GRAPH_FORMAT",
        "FORMAT",
        "onnx, pb, mindir or air (default: the card's)",
        _to("--format", "export"),
        one_of("onnx", "pb", "mindir", "air"),
        remembered=True,
    ),
    Option(
        "OPSET", "N", "ONNX operator set (default: the card's)", _to("--opset", "export"), positive, remembered=True
    ),
)
PREPROCESS = (
    Option(
        "VIDEO_PATH",
        "DIR",
        "frames or videos of the dataset (default: the card's)",
        _to("--video-path", *_DATA, "report", "compare"),
        remembered=True,
    ),
    Option(
        "ANNOTATION_PATH",
        "FILE",
        "its annotation (default: the card's)",
        _to("--annotation-path", *_DATA, "report", "compare", "fuse"),
        remembered=True,
    ),
    Option("SUBSET", "NAME", "subset of it (default: the card's)", _to("--subset", *_DATA), remembered=True),
    Option(
        "LAYOUT",
        "LAYOUT",
        "packed, per-video or per-clip",
        _to("--layout", "preprocess"),
        one_of("packed", "per-video", "per-clip"),
        remembered=True,
    ),
    Option(
        "MAX_CLIPS",
        "N",
        "the first N clips of a video (0: all; default: the card's)",
        _to("--max-clips", *_DATA, "postprocess", "quantize"),
        count,
        remembered=True,
    ),
    Option(
        "VIEWS",
        "N",
        "N views of every video, always the same ones (default: the protocol's)",
        _to("--views", *_DATA),
        positive,
        remembered=True,
    ),
    Option("LIMIT", "N", "N videos, spread over the classes", _to("--limit", *_DATA), count, remembered=True),
    Option("WORKERS", "N", "processes that decode (default: one per core)", _to("--workers", *_DATA), positive),
    Option("STRICT", "", "stop at the first video that cannot be used", _to("--strict", *_DATA)),
)
CONVERT = (
    Option("SOC", "SOC", "cpu, Ascend310P3, ... or auto: what npu-smi reports, else cpu", remembered=True),
    Option(
        "DYNAMIC_BATCH",
        "N,N",
        "one .om for all these batch sizes",
        _to("--dynamic-batch", "convert"),
        sizes,
        remembered=True,
    ),
    Option(
        "FORMAT",
        "FORMAT",
        "for the CPU: openvino, onnx, mindir or auto",
        _to("--format", "convert"),
        one_of("auto", "openvino", "onnx", "mindir"),
        remembered=True,
    ),
    Option(
        "PRECISION_MODE",
        "MODE",
        "of ATC (default: the card's)",
        _to("--precision-mode", "convert"),
        remembered=True,
    ),
    Option("OUT_NODES", "NODES", "outputs to keep, as for ATC", _to("--out-nodes", "convert"), remembered=True),
    Option(
        "OP_SELECT_IMPLMODE",
        "MODE",
        "of ATC",
        _to("--op-select-implmode", "convert"),
        one_of("high_performance", "high_precision", "high_performance_for_all", "high_precision_for_all"),
        remembered=True,
    ),
    Option(
        "ATC_LOG",
        "LEVEL",
        "debug, info, warning, error or null",
        _to("--log", "convert"),
        one_of("debug", "info", "warning", "error", "null"),
    ),
    Option("ATC_ARG", "ARG", "--name=value for ATC", _to("--atc-arg", "convert"), remembered=True, words=True),
    Option("DRY_RUN", "", "show ATC's command and stop", _to("--dry-run", "convert")),
    Option(
        "PRECISION",
        "NAME",
        "f32, bf16 or int8 (default: the model's own)",
        _to("--precision", *_INFERS, "parity"),
        one_of("f32", "bf16", "int8"),
        remembered=True,
    ),
    Option("CALIBRATION", "N", "int8: clips to take value ranges from (default: 300)", {}, positive, remembered=True),
    Option("CALIBRATION_ANNOTATION", "FILE", "int8: annotation of the training split", remembered=True),
    Option(
        "MAX_ACCURACY_DROP",
        "X",
        "int8: top-1 may be lower by X, 0 to 1 (default: 0.01)",
        _to("--max-accuracy-drop", "quantize"),
        share,
        remembered=True,
    ),
)
INFER = (
    Option(
        "ENGINE",
        "NAME",
        ", ".join(ENGINES),
        _to("--engine", *_INFERS, "predict", "parity"),
        one_of(*ENGINES),
        remembered=True,
    ),
    Option(
        "DEVICES",
        "N,N",
        "NPUs to share the batches, e.g. 0,1 (default: 0)",
        _to("--devices", "infer", "sweep", "parity"),
        devices,
        remembered=True,
    ),
    Option("STREAMS", "N", "batches computed at the same time", _to("--streams", *_INFERS), positive, remembered=True),
    Option("REQUESTS", "N", "batches in flight", _to("--requests", *_INFERS), positive, remembered=True),
    Option("WARMUP", "N", "batches before the clock starts", _to("--warmup", "infer", "stream"), count),
    Option("VERIFY", "", "compare every batch with its SHA-256, as is done anyway", _to("--verify", "infer")),
    Option("NO_VERIFY", "", "do not compare batches with their SHA-256", _to("--no-verify", "preprocess", "infer")),
    Option("LOOP", "N", "only measure: all batches N times, no scores", _to("--loop", "infer"), positive),
    Option(
        "OUTPUT_FORMAT",
        "FORMAT",
        "of the score files: bin, npy or txt",
        _to("--output-format", "infer"),
        one_of("bin", "npy", "txt"),
    ),
)
POSTPROCESS = (
    Option("K", "K", "classes per video, and the k of MIN_ACCURACY (default: 1)", {}, positive, remembered=True),
    Option("MIN_ACCURACY", "X", "exit 1 if top-K falls short of X, 0 to 1", _to("--min-accuracy", *_COUNTS), share),
    Option("IGNORE", "", "leave videos without scores out", _to("--ignore", *_COUNTS), remembered=True),
    Option(
        "ACTIVATION",
        "NAME",
        "softmax, none or naive-softmax, per clip (default: the card's)",
        _to("--activation", "postprocess"),
        one_of("softmax", "none", "naive-softmax"),
        remembered=True,
    ),
    Option(
        "AVERAGING",
        "NAME",
        "mean, largest or votes over a video's clips (default: the card's)",
        _to("--averaging", "postprocess"),
        one_of("mean", "largest", "votes"),
        remembered=True,
    ),
    Option(
        "TIES",
        "WHICH",
        "class that wins among equal scores: first or last",
        _to("--ties", "postprocess"),
        one_of("first", "last"),
        remembered=True,
    ),
    Option(
        "MEAN_CLASS",
        "WHICH",
        "mean over the classes of the labels (labelled), or of the predictions too (union)",
        _to("--mean-class", "postprocess"),
        one_of("labelled", "union"),
        remembered=True,
    ),
    Option(
        "FIRST_VIDEOS",
        "N",
        "count the first N scored videos alone",
        _to("--first-videos", "postprocess"),
        positive,
        remembered=True,
    ),
    Option(
        "BATCH_ACCURACY",
        "N",
        "also the mean accuracy of full batches of N videos",
        _to("--batch-accuracy", "postprocess"),
        positive,
        remembered=True,
    ),
)
STAGES = (*EXPORT, *PREPROCESS, *CONVERT, *INFER, *POSTPROCESS)

STRIPS = Option("STRIPS", "N", "film strips of each kind, 0 for none", _to("--strips", "report", "compare"), count)
SWEEP = (
    Option("BATCHES", "N,N", "batch sizes to measure (default: 1,2,4,8,10,16)", {}, sizes),
    Option("SECONDS", "S", "least time of one measurement", _to("--seconds", "sweep"), number),
    Option("ROUNDS", "N", "measurements of each", _to("--rounds", "sweep", "benchmarks"), positive),
)
PREDICT = (
    Option("VIDEO", "FILE", "videos, or folders of videos", {}, words=True),
    Option("TIMELINE", "", "show each clip too", _to("--timeline", "predict")),
    Option("JSON", "", "one JSON object per line instead of bars", _to("--json", "predict")),
    Option("SAVE", "DIR", "labelled copies of the videos go there", _to("--save", "predict")),
    Option("FONT", "FILE", "TrueType font of their labels", _to("--font", "predict")),
    Option("LABELS", "FILE", "class names (default: the card's)", _to("--labels", "predict")),
)
COMPARE = (
    Option("A", "DIR", "results of one run"),
    Option("B", "DIR", "results of another"),
    Option("MAX_DROP", "X", "exit 1 if B is less accurate by more than X, 0 to 1", _to("--max-drop", "compare"), share),
    Option("DIFFERENT_INPUTS", "", "compare runs of other inputs too", _to("--different-inputs", "compare")),
    STRIPS,
)
FUSE = (
    *COMPARE[:2],
    Option("WEIGHTS", "A,B", "weights of the two runs (default: 1,1)", _to("--weights", "fuse")),
)
PARITY = (
    Option("CLIPS", "N", "first N clips (default: 20)", _to("--clips", "parity"), positive),
    Option("MAX_DIFF", "X", "largest relative difference allowed", _to("--max-diff", "parity"), number),
    Option("MIN_COSINE", "X", "least cosine, 0 to 1", _to("--min-cosine", "parity", "drift"), share),
    Option("MIN_TOP1", "X", "least share of clips of one class, 0 to 1", _to("--min-top1", "parity"), share),
)
DRIFT = (
    Option("AGAINST", "PATH", "compiled model, graph file or an NPU's dumps (default: the compiled model)"),
    Option("TOP", "N", "layers per list", _to("--top", "drift"), positive),
    Option("GATE", "", "exit 1 if a layer is beyond a limit", _to("--gate", "drift")),
    Option("MAX_RELATIVE", "X", "limit per layer", _to("--max-relative", "drift"), number),
    PARITY[2],
)
DOCTOR = (
    CONVERT[0],
    Option("STAGES", "A,B", "stages that must run here", _to("--stages", "doctor")),
    Option("JSON", "FILE", "write the checks as JSON", _to("--json", "doctor")),
    Option("COMPARE", "FILE", "records of hosts to compare with", {}, words=True),
)
EXPLAIN = (
    Option("CODE", "TEXT", "an error code, or a line that holds one"),
    Option("LOG", "FILE", "explain every code in a log", _to("--log", "explain")),
)
SELFTEST = (CONVERT[0], Option("DEVICE", "N", "the device to use", _to("--device", "npu_selftest"), count))
CHECKPOINT_NAMES = (
    Option("FROM", "FILE", "the weights: .pth, .ckpt or .npz"),
    Option("TO", "FILE", "what to write: .pth, .ckpt or .npz"),
)
NEW_CARD = (
    Option("FROM", "FILE", "write a card from this: a PyTorch checkpoint or an ONNX graph"),
    Option("VIDEOS", "DIR", "with the classes of this folder of class folders"),
    Option("TO", "FILE", "the card to write (default: NAME.toml here)"),
)
BENCH = (
    Option("QUICK", "", "small inputs", _to("--quick", "benchmarks")),
    Option("ONLY", "NAME", "these alone", _to("--only", "benchmarks"), words=True),
    SWEEP[2],
)
TESTS = (
    Option("SUITES", "NAME", "pytorch, tensorflow, paddle, mindspore", {}, words=True),
    Option("TESTS", "ARGS", "files and options for pytest", {}, words=True),
    Option("JOBS", "N", "processes (default: one per core)"),
)
