"""What ATC's documentation (CANN 6 to 9) says it does not take of an ONNX graph, looked for before it runs.

Only warnings come of it: the documentation lags behind the releases, and nothing here was tried on an NPU host.
"""

from __future__ import annotations

from pathlib import Path
from typing import Dict, List

from clip2om.convert.onnx_nodes import OnnxNode, read_nodes

_SPATIAL = 3
_GROUPED = (
    "{node} is a 5-D convolution in {group} groups, ATC documents one: if it refuses the graph (EZ3003), "
    "take a network without grouped convolutions"
)
_PADDED = (
    "{node} is a 5-D convolution with auto_pad {pad}, ATC documents explicit pads only: if it refuses the graph "
    "(EZ3003), export again with pads in place of auto_pad"
)


def doubts(graph: Path) -> List[str]:
    """Return what ATC may refuse, one line of each kind with the first node of its kind; empty for other files."""
    try:
        nodes = read_nodes(graph)
    except (ValueError, OSError):
        return []  # ATC says what is wrong with the file
    found: Dict[str, List[str]] = {}
    for node in nodes:
        if node.kind != "Conv" or not _is_5d(node):
            continue
        group, pad = node.attributes.get("group", 1), node.attributes.get("auto_pad") or "NOTSET"
        if group != 1:
            found.setdefault(_GROUPED.format(node="{node}", group=group), []).append(node.name)
        if pad != "NOTSET":
            found.setdefault(_PADDED.format(node="{node}", pad=pad), []).append(node.name)
    return [line.format(node=_first(names)) for line, names in found.items()]


def _is_5d(node: OnnxNode) -> bool:
    kernel = node.attributes.get("kernel_shape")
    return len(kernel) == _SPATIAL if isinstance(kernel, list) else node.weight_rank == _SPATIAL + 2


def _first(names: List[str]) -> str:
    return f"Conv {names[0]}" + (f" (and {len(names) - 1} more)" if len(names) > 1 else "")
