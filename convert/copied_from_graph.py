"""The graph as it was exported: what engines without a format of their own run."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import List

from clip2om.convert.request import STEM, ConvertRequest
from clip2om.pipeline.artifact import replacing
from clip2om.pipeline.console import Console
from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.tensor import DYNAMIC


def copy_graph(request: ConvertRequest, output: Path, console: Console) -> List[str]:
    """Copy the graph into ``output`` and return the file's name.

    Raises:
        RequestError: the graph has a fixed batch size other than the one asked for.
    """
    if request.graph_batch not in (DYNAMIC, request.batch):
        raise RequestError(
            f"has the fixed batch {request.graph_batch}, asked for was {request.batch}",
            request.graph,
            f"export with --batch {request.batch}, or convert with --batch {request.graph_batch}",
        )
    name = f"{STEM}{request.graph.suffix}"
    with replacing(output / name) as temporary:
        _copy(request.graph, temporary)
    return [name]


def _copy(source: Path, target: Path) -> None:
    # shutil.copyfile would blame a full disk on the file that is read.
    with open(source, "rb") as reading, open(target, "wb") as writing:
        shutil.copyfileobj(reading, writing)
