"""The command line: flag syntax, names and value sets (step 1 of the checks)."""

from __future__ import annotations

from typing import Dict, FrozenSet, Sequence

from _cann_sim.atc.console import Refused, bad_value, flag_error
from _cann_sim.knobs import names

_ZERO_ONE = "disable_reuse_memory atomic_clean_policy sparsity virtual_type status_check display_model_info dump_mode"
# [D] value sets with a code of their own are checked below.
_SETS: Dict[str, FrozenSet[str]] = {
    "mode": frozenset({"0", "1", "3", "5", "6", "7", "30"}),
    "core_type": frozenset({"AiCore", "VectorCore"}),
    "buffer_optimize": frozenset({"l1_optimize", "l2_optimize", "off_optimize"}),
    "deterministic": frozenset("01"),
    "deterministic_level": frozenset("0123"),
    "external_weight": frozenset("012"),
    "jit_compile": frozenset("012"),
    "is_weight_clip": frozenset("01"),
    "enable_small_channel": frozenset("01"),
    "op_compiler_cache_mode": frozenset({"disable", "enable", "force"}),
    "op_debug_level": frozenset("01234"),
    "oo_level": frozenset({"O1", "O3"}),
    "host_env_os": frozenset({"linux", "minios"}),
    "host_env_cpu": frozenset({"x86_64", "aarch64", "arm64", "arm"}),
    "allow_hf32": frozenset({"true", "false"}),
}
_LOG = ("debug", "info", "warning", "error", "null")
_FREE = names("""
framework model weight output soc_version aicore_num input_format input_shape dynamic_batch_size dynamic_image_size
dynamic_dims input_shape_range out_nodes output_type precision_mode precision_mode_v2 modify_mixlist keep_dtype
customize_dtypes op_select_implmode optypelist_for_implmode op_precision_mode insert_op_conf input_fp16_nodes
is_input_adjust_hw_layout is_output_adjust_hw_layout save_original_model fusion_switch_file compression_optimize_conf
compress_weight_conf enable_compress_weight op_compiler_cache_dir debug_dir oo_constant_folding auto_tune_mode
check_report om json op_name_map log enable_single_stream export_compile_stat enable_scope_fusion_passes mdl_bank_path
op_bank_path op_debug_config quant_dumpable shape_generalized_build_mode tiling_schedule_optimize
ac_parallel_enable optimization_switch cluster_config
""")
KNOWN = frozenset([*_SETS, *_FREE, *_ZERO_ONE.split()])


def parse(arguments: Sequence[str]) -> Dict[str, str]:
    """Return the flags by name; the last of several wins [I].

    ``--name=value``, ``--name value`` and ``-name`` all count, ``-`` and ``_`` are the same in names [S].
    """
    given: Dict[str, str] = {}
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        if not word.startswith("-") or word.strip("-") == "":
            flag_error(f"Non-option parameter: {word}")
        name, equals, value = word.lstrip("-").partition("=")
        name = name.replace("-", "_")
        if name in ("help", "h"):
            return {"help": ""}
        if name not in KNOWN:
            flag_error(f"unknown command line flag '{name}'")
        if not equals:
            if not rest:
                flag_error(f"flag '--{name}' is missing its argument; flag description: see atc --help")
            value = rest.pop(0)
        given[name] = value
    return given


def check_sets(given: Dict[str, str]) -> None:
    """Refuse values outside their sets.

    Raises:
        Refused: E10006, E10005, E10010 or E10001.
    """
    for name, value in given.items():
        if name in _ZERO_ONE.split() and value not in ("0", "1"):
            raise Refused("E10006", f"The value [{value}] for [--{name}] is not supported. Must be 0 or 1.")
        if name == "enable_single_stream" and value not in ("true", "false"):
            raise Refused("E10005", f"The value [{value}] for [--{name}] is not supported. Must be true or false.")
        if name == "log" and value not in _LOG:
            raise Refused("E10010", f"The value [{value}] for [--log] is not supported. Must be one of {list(_LOG)}.")
        if name in _SETS and value not in _SETS[name]:
            raise bad_value(value, f"--{name}", f"must be one of {sorted(_SETS[name])}")
    if given.get("auto_tune_mode"):
        raise bad_value(given["auto_tune_mode"], "--auto_tune_mode", "not supported any more, use AOE")
