"""What a conversion may ask of ATC, checked as far as ATC's documentation (CANN 6 to 9) allows before it runs."""

from __future__ import annotations

import difflib
import os
from dataclasses import dataclass
from typing import Dict, Iterable, List, Optional, Sequence, Tuple

from clip2om.convert.tensor_names import tensor_name
from clip2om.pipeline.card import Card
from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.records import GraphRecord
from clip2om.pipeline.tensor import TensorSpec

FRAMEWORKS = {"onnx": 5, "pb": 3, "air": 1}
# What comes out of a float32 graph. ATC compiles to float16 unless told otherwise; inputs and outputs keep their type.
PRECISIONS = {
    "force_fp16": "float16",
    "force_fp32": "float32",
    "cube_fp16in_fp32out": "float16 in, float32 out",
    "allow_mix_precision": "mixed float16",
    "allow_mix_precision_fp16": "mixed float16",
    "allow_mix_precision_bf16": "mixed bfloat16",
    "allow_fp32_to_fp16": "float32, float16 where there is no float32 kernel",
    "allow_fp32_to_bf16": "float32, bfloat16 where there is no float32 kernel",
    "must_keep_origin_dtype": "float32",
}
PRECISIONS_V2 = {
    "fp16": "float16",
    "origin": "float32",
    "cube_fp16in_fp32out": "float16 in, float32 out",
    "mixed_float16": "mixed float16",
    "mixed_bfloat16": "mixed bfloat16",
    "cube_hif8": "hifloat8 in",
    "mixed_hif8": "mixed hifloat8",
}
# A MindSpore graph brings its format along: ATC takes this one value for it and leaves it unused.
_FORMATS = {1: ("NCHW",), 3: ("NCHW", "NHWC", "ND", "NCDHW", "NDHWC"), 5: ("NCHW", "NCDHW", "ND")}
# Free arguments that would make the record wrong, with what to use instead.
_OWN = {
    **dict.fromkeys(("model", "weight", "framework", "mode"), "they follow from --graph"),
    "output": "use --output",
    "soc_version": "use --soc",
    **dict.fromkeys(("input_shape", "input_shape_range", "dynamic_dims", "dynamic_image_size"), "use --batch"),
    "dynamic_batch_size": "use --dynamic-batch",
    "precision_mode": "use --precision-mode",
    "out_nodes": "use --out-nodes",
    **dict.fromkeys(
        ("input_fp16_nodes", "insert_op_conf", "output_type", "external_weight"),
        "it changes what the .om takes, gives or consists of, which its record could not tell",
    ),
}
_GEARS = (2, 100)


@dataclass(frozen=True)
class AtcOptions:
    """How ATC is to be called.

    Attributes:
        framework: 5 ONNX, 3 frozen TensorFlow graph, 1 AIR.
        input_format: Layout that ATC assumes, empty to leave it to ATC.
        precision_mode: A key of :data:`PRECISIONS`; not passed where ``extra`` holds ``--precision_mode_v2``.
        log: ATC's log level.
        op_select_implmode: Which implementation of operators to prefer; empty leaves it to ATC.
        out_nodes: Outputs to keep, in this order, as ATC spells them; empty keeps all.
        extra: Further arguments, passed behind all others.
    """

    framework: int
    input_format: str
    precision_mode: str
    log: str = "error"
    op_select_implmode: str = ""
    out_nodes: Tuple[str, ...] = ()
    extra: Tuple[str, ...] = ()

    @property
    def precision_v2(self) -> Optional[str]:
        """The newer precision option, where ``extra`` holds it: it then takes the place of ``precision_mode``."""
        return _value(self.extra, "precision_mode_v2")

    @property
    def precision(self) -> str:
        """Precision of the computation, in words."""
        newer = self.precision_v2
        return PRECISIONS[self.precision_mode] if newer is None else PRECISIONS_V2[newer]


def make_options(
    card: Card,
    record: GraphRecord,
    precision_mode: Optional[str] = None,
    log: str = "error",
    op_select_implmode: str = "",
    out_nodes: str = "",
    extra: Sequence[str] = (),
) -> AtcOptions:
    """Put card and command line together; ``out_nodes`` is separated by ``;`` as for ATC.

    Raises:
        RequestError: a card without [atc] or for another framework, a graph that ATC does not read, a value that
            ATC does not document, an argument that belongs to another option.
    """
    if card.atc is None:
        raise RequestError("has no section [atc]", card.path, 'add framework = 5, input_format = "NCDHW" for ONNX')
    if record.format not in FRAMEWORKS:
        raise RequestError(
            f"is a graph of format {record.format!r}, ATC takes {', '.join(FRAMEWORKS)}", record.file, "export it again"
        )
    framework, layout = FRAMEWORKS[record.format], card.atc.input_format
    if card.atc.framework != framework and record.format == "air":
        # The card's entries are for its other format. An AIR brings its layout along.
        layout = ""
    elif card.atc.framework != framework:
        raise RequestError(
            f"atc.framework is {card.atc.framework}, the graph {record.file} is {record.format}: framework {framework}",
            card.path,
            f"--set atc.framework={framework}, or export another format",
        )
    mode = precision_mode or card.atc.precision_mode
    where = "--precision-mode" if precision_mode else f"{card.path}: atc.precision_mode"
    _choose(mode, PRECISIONS, where)
    _check_input_format(card, framework, layout)
    _check_extra(extra, precision_mode)
    nodes = tuple(node for node in out_nodes.split(";") if node)
    if not nodes and record.format == "pb":
        # A frozen graph has no list of outputs: without this ATC takes every node that nothing reads.
        nodes = tuple(tensor_name(spec) for spec in record.outputs)
    return AtcOptions(framework, layout, mode, log, op_select_implmode, nodes, tuple(extra))


def kept_outputs(options: AtcOptions, record: GraphRecord) -> List[TensorSpec]:
    """Return the outputs of the .om in its order.

    Raises:
        RequestError: --out-nodes names something that the graph's record does not describe.
    """
    if not options.out_nodes:
        return list(record.outputs)
    named: Dict[str, TensorSpec] = {spec.name: spec for spec in record.outputs}
    named.update({tensor_name(spec): spec for spec in record.outputs})
    for node in options.out_nodes:
        if node not in named:
            outputs = ", ".join(spec.name for spec in record.outputs)
            raise RequestError(f"{node!r} is not an output of {record.file}", "--out-nodes", f"it has: {outputs}")
    return [named[node] for node in options.out_nodes]


def check_gears(gears: Sequence[int]) -> Tuple[int, ...]:
    """Return the batch sizes of ``--dynamic-batch`` in ascending order.

    Raises:
        RequestError: fewer than 2 or more than 100 of them, which ATC refuses (E10035, E10036).
    """
    least, most = _GEARS
    if not least <= len(gears) <= most:
        raise RequestError(
            f"{len(gears)} batch sizes, ATC takes {least} to {most}", "--dynamic-batch", "for one size use --batch N"
        )
    return tuple(sorted(gears))


def _check_input_format(card: Card, framework: int, value: str) -> None:
    where = f"{card.path}: atc.input_format"
    if not value:
        return
    if framework == FRAMEWORKS["air"] and value not in _FORMATS[framework]:
        raise RequestError(
            f"is {value!r}, for an AIR graph ATC takes {_FORMATS[framework][0]} only and the graph's own format counts",
            where,
            "--set atc.input_format=",
        )
    _choose(value, _FORMATS[framework], where)


def _check_extra(extra: Sequence[str], precision_mode: Optional[str]) -> None:
    for argument in extra:
        name, equals, value = argument.partition("=")
        if not (name.startswith("--") and name[2:] and equals):
            raise RequestError(
                f"{argument!r} is not --name=value", "--atc-arg", "for example --atc-arg=--jit_compile=0"
            )
        if os.path.isfile(value) and not os.path.isabs(value):
            raise RequestError(
                f"{argument!r} names a file by a relative path",
                "--atc-arg",
                "make it absolute: ATC runs in a folder of its own",
            )
        name = _name(argument)
        if name in _OWN:
            raise RequestError(f"--{name} cannot be passed on", "--atc-arg", _OWN[name])
    newer = _value(extra, "precision_mode_v2")
    if newer is not None:
        _choose(newer, PRECISIONS_V2, "--atc-arg=--precision_mode_v2")
    if precision_mode and newer is not None:
        raise RequestError(
            "ATC takes one precision mode (E10056)", "--precision-mode and --atc-arg", "drop one of them"
        )


def _name(argument: str) -> str:
    return argument[2:].partition("=")[0].replace("-", "_")


def _value(extra: Sequence[str], name: str) -> Optional[str]:
    """Return the value of an argument, the last one if it is repeated (then ATC takes the last one too: inferred)."""
    found = [argument.partition("=")[2] for argument in extra if _name(argument) == name]
    return found[-1] if found else None


def _choose(value: str, choices: Iterable[str], where: str) -> None:
    if value not in choices:
        close = difflib.get_close_matches(value, list(choices), n=1, cutoff=0.7)
        todo = f"did you mean {close[0]}?" if close else f"choose one of: {', '.join(choices)}"
        raise RequestError(f"{value!r} is not a value of ATC's", where, todo)
