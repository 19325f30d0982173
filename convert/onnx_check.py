"""What ATC's documentation (CANN 6 to 9) says it does not take of an ONNX graph, looked for before it runs.

Only warnings come of it: the documentation lags behind the releases, and nothing here was tried on an NPU host.
"""

from __future__ import annotations

from pathlib import Path
from typing import Dict, Iterator, List, Tuple

from clip2om.convert.onnx_nodes import OnnxNode, read_nodes

_SPATIAL = 3
_WINDOWED = ("Conv", "AveragePool", "MaxPool")
_GLOBAL = "GlobalAveragePool"
# Where this pooling of a 5-D tensor is documented from.
_GLOBAL_SINCE = (8, 0)
_GROUPED = (
    "{node} is a 5-D convolution in {group} groups, ATC documents one: if it refuses the graph (EZ3003), "
    "take a network without grouped convolutions"
)
_PADDED = (
    "{node} is a 5-D convolution with auto_pad {pad}, ATC documents explicit pads and VALID only: if it refuses the "
    "graph (EZ3003), export again with pads in place of auto_pad"
)
_POOLED = (
    "{node} is a 5-D pooling with auto_pad {pad}, which ATC's reader of ONNX passes over in silence: the model would "
    "give other numbers; export again with pads in place of auto_pad"
)
_AVERAGED = (
    "{node} is on a 5-D tensor, which ATC documents from CANN 8 on: where it refuses the graph (EZ3003), export again "
    "with export.pooling=average"
)


def doubts(graph: Path, release: Tuple[int, int] = (0, 0)) -> List[str]:
    """Return what ATC may refuse or misread, one line of each kind with the first node of its kind.

    Args:
        graph: The ONNX file; of other files nothing is said.
        release: Major and minor version of the CANN that compiles; (0, 0) where it is not known.
    """
    try:
        nodes = read_nodes(graph)
    except (ValueError, OSError):
        return []  # ATC says what is wrong with the file
    # Nodes do not tell the rank of what they take; a graph of clips is 5-D until its last pooling.
    clips = any(node.kind in _WINDOWED and _is_5d(node) for node in nodes)
    found: Dict[str, List[str]] = {}
    for node in nodes:
        for line in _of_node(node, clips and (0, 0) < release < _GLOBAL_SINCE):
            found.setdefault(line, []).append(f"{node.kind} {node.name}")
    return [line.format(node=_first(names)) for line, names in found.items()]


def _of_node(node: OnnxNode, early: bool) -> Iterator[str]:
    if node.kind == _GLOBAL and early:
        yield _AVERAGED
    if node.kind not in _WINDOWED or not _is_5d(node):
        return
    group, pad = node.attributes.get("group", 1), node.attributes.get("auto_pad") or "NOTSET"
    if node.kind == "Conv" and group != 1:
        yield _GROUPED.format(node="{node}", group=group)
    if node.kind == "Conv" and pad not in ("NOTSET", "VALID"):
        yield _PADDED.format(node="{node}", pad=pad)
    if node.kind != "Conv" and pad != "NOTSET":
        yield _POOLED.format(node="{node}", pad=pad)


def _is_5d(node: OnnxNode) -> bool:
    kernel = node.attributes.get("kernel_shape")
    return len(kernel) == _SPATIAL if isinstance(kernel, list) else node.weight_rank == _SPATIAL + 2


def _first(names: List[str]) -> str:
    return names[0] + (f" (and {len(names) - 1} more)" if len(names) > 1 else "")
