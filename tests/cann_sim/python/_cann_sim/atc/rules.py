"""Steps 2 to 16 of the checks: parameters against each other and against the file system [S]."""

from __future__ import annotations

import os
from typing import Callable, Dict, List

from _cann_sim.atc.console import Refused, bad_value
from _cann_sim.atc.shapes import check_dynamic
from _cann_sim.knobs import names

Flags = Dict[str, str]
# [D+S]
_FORMATS = {
    "0": ("NCHW", "ND"),
    "1": ("NCHW",),
    "3": ("NCHW", "NHWC", "ND", "NCDHW", "NDHWC"),
    "5": ("NCHW", "NCDHW", "ND"),
}
_PRECISION = names(
    "force_fp16 force_fp32 cube_fp16in_fp32out allow_mix_precision allow_mix_precision_fp16 allow_mix_precision_bf16 "
    "allow_fp32_to_fp16 allow_fp32_to_bf16 must_keep_origin_dtype"
)
_PRECISION_V2 = names("fp16 origin cube_fp16in_fp32out mixed_float16 mixed_bfloat16 cube_hif8 mixed_hif8")
_IMPLEMENTATIONS = names("high_performance high_precision high_performance_for_all high_precision_for_all")
_LONGEST_PATH = 4096


def _framework(flags: Flags) -> None:
    if flags.get("framework") not in _FORMATS:
        raise Refused(
            "E10007",
            "[--framework] is required. The value must be [0(Caffe) or 1(MindSpore) or 3(TensorFlow) or 5(Onnx)].",
        )


def _weight(flags: Flags) -> None:
    if flags["framework"] == "0" and not flags.get("weight"):
        raise Refused("E10008", "[--weight] is required when [--framework] is 0(Caffe).")


def _input_format(flags: Flags) -> None:
    value = flags.get("input_format")
    accepted = _FORMATS[flags["framework"]]
    if value is not None and value not in accepted:
        raise bad_value(value, "--input_format", f"framework {flags['framework']} takes {', '.join(accepted)}")


def _required(name: str) -> Callable[[Flags], None]:
    def check(flags: Flags) -> None:
        if not flags.get(name):
            raise Refused(
                "E10054",
                f"The requied parameter [--{name}] for ATC is empty. Another possible reason is that the value of "
                'some parameter is not enclosed by quotation marks ("").',
            )

    return check


def _model_file(flags: Flags) -> None:
    _readable("model", flags["model"])


def _readable(name: str, path: str) -> None:
    if len(path) > _LONGEST_PATH:
        raise Refused("E10021", f"The path length of [--{name}] exceeds {_LONGEST_PATH}.")
    if not os.path.isfile(path) or not os.access(path, os.R_OK):
        raise Refused(
            "E13000", f"Path [{path}] of parameter [--{name}] does not exist or cannot be read: path does not exist"
        )


def _output(flags: Flags) -> None:
    path = flags["output"]
    folder, name = os.path.split(path)
    if not name:
        raise Refused("E10022", f"Parameter [--output]: the path [{path}] does not include a file name.")
    if len(path) > _LONGEST_PATH:
        raise Refused("E10021", f"The path length of [--output] exceeds {_LONGEST_PATH}.")
    if not os.path.isdir(folder or "."):
        raise Refused("E13000", f"Path [{folder}] of parameter [--output] does not exist: path does not exist")
    if not os.access(folder or ".", os.W_OK):
        raise Refused("E13001", f"Path [{folder}] of parameter [--output] is not writable")


def _implementation(flags: Flags) -> None:
    mode = flags.get("op_select_implmode")
    if mode is not None and mode not in _IMPLEMENTATIONS:
        raise bad_value(mode, "--op_select_implmode", f"must be one of {_IMPLEMENTATIONS}")
    if flags.get("optypelist_for_implmode") and mode is None:
        raise bad_value(
            flags["optypelist_for_implmode"], "--optypelist_for_implmode", "op_select_implmode must be set too"
        )
    if flags.get("op_precision_mode"):
        _readable("op_precision_mode", flags["op_precision_mode"])


def _precision(flags: Flags) -> None:
    first, second = flags.get("precision_mode"), flags.get("precision_mode_v2")
    if first is not None and second is not None:
        raise Refused(
            "E10056",
            "Cannot configure both parameters --precision_mode and --precision_mode_v2 simultaneously.",
        )
    if first is not None and first not in _PRECISION:
        raise bad_value(first, "--precision_mode", f"must be one of {_PRECISION}")
    if second is not None and second not in _PRECISION_V2:
        raise bad_value(second, "--precision_mode_v2", f"must be one of {_PRECISION_V2}")
    chosen = first or second or "force_fp16"
    soc = flags["soc_version"]
    # [D] bf16 on A2, A3, 310B and 950 only; hif8 on 950 only.
    if ("bf16" in chosen or "bfloat16" in chosen) and not soc.startswith(("Ascend910B", "Ascend910_", "Ascend310B")):
        raise bad_value(chosen, "--precision_mode", f"{soc} has no bfloat16")
    if "hif8" in chosen and not soc.startswith("Ascend950"):
        raise bad_value(chosen, "--precision_mode_v2", f"{soc} has no hif8")
    if flags.get("modify_mixlist") and "mix" not in chosen:
        raise bad_value(flags["modify_mixlist"], "--modify_mixlist", "needs a mixed precision mode")


def _aipp(flags: Flags) -> None:
    if flags.get("insert_op_conf") and flags.get("dynamic_dims"):
        raise bad_value(flags["dynamic_dims"], "--dynamic_dims", "The dynamic dims function does not support AIPP.")


def _other_files(flags: Flags) -> None:
    for name in ("insert_op_conf", "fusion_switch_file", "keep_dtype", "customize_dtypes", "modify_mixlist"):
        if flags.get(name):
            _readable(name, flags[name])
    if flags.get("compression_optimize_conf"):
        raise bad_value(flags["compression_optimize_conf"], "--compression_optimize_conf", "AMCT is not installed")
    level = flags.get("deterministic_level", "0")
    if flags.get("deterministic", "0") != "0" and flags["soc_version"].startswith("Ascend310B"):
        raise bad_value(flags["deterministic"], "--deterministic", "not supported on this chip")
    if "deterministic_level" in flags and (level == "0") != (flags.get("deterministic", "0") == "0"):
        raise bad_value(level, "--deterministic_level", "it and --deterministic must both be zero or both be non-zero")


def _report(flags: Flags) -> None:
    folder = os.path.dirname(flags.get("check_report", ""))
    if folder and not os.path.isdir(folder):
        raise Refused("E13000", f"Path [{folder}] of parameter [--check_report] does not exist: path does not exist")


_ORDER: List[Callable[[Flags], None]] = [
    _framework,
    _weight,
    _input_format,
    _required("soc_version"),
    _required("output"),
    _required("model"),
    _model_file,
    _output,
    _implementation,
    _precision,
    check_dynamic,
    _aipp,
    _other_files,
    _report,
]


def check(flags: Flags) -> None:
    """Run the checks of a conversion in their order.

    Raises:
        Refused: the first that fails.
    """
    for rule in _ORDER:
        rule(flags)
