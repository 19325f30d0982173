"""Carry out one conversion: write the model's files, then the record that makes them a compiled model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Callable, Dict, List, Optional

from clip2om.convert.copied_from_graph import copy_graph
from clip2om.convert.formats import INT8, MINDIR, OM, ONNX, OPENVINO, Format, keeping
from clip2om.convert.int8_from_graph import int8_from_graph
from clip2om.convert.om_from_graph import om_from_graph
from clip2om.convert.openvino_from_graph import OpenVinoMissingError, openvino_from_graph
from clip2om.convert.record import describe
from clip2om.convert.request import RECORD, ConvertRequest
from clip2om.pipeline import ascend_host, facts
from clip2om.pipeline.artifact import folder_lock, remove_partials, sha256_file
from clip2om.pipeline.console import Console, size
from clip2om.pipeline.records import CompiledRecord, find_record, write_record

# Each writes the model into a folder and returns the names of its files, the model first.
Writer = Callable[[ConvertRequest, Path, Console], List[str]]
_WRITERS: Dict[Format, Writer] = {
    OPENVINO: openvino_from_graph,
    INT8: int8_from_graph,
    ONNX: copy_graph,
    MINDIR: copy_graph,
    OM: om_from_graph,
}


def build(
    request: ConvertRequest,
    chosen: Format,
    output: Path,
    command: str,
    console: Console,
    fallback: Optional[Format] = None,
) -> bool:
    """Compile the graph into ``output``.

    Args:
        request: What to compile.
        chosen: The format.
        output: Folder of the compiled model.
        command: The command that repeats the conversion, for the record.
        console: Where to report.
        fallback: The format to take instead where the converter is installed but cannot be imported.

    Returns:
        False where it has to be taken.

    Raises:
        RequestError: the converter cannot be imported, or refuses the graph or the batch size.
    """
    with folder_lock(output):
        remove_partials(output)
        former = find_record(output / RECORD, CompiledRecord)
        names = _write(request, chosen, output, console, fallback)
        if names is None:
            return False
        files = {name: sha256_file(output / name) for name in names}
        record = describe(request, chosen, chosen.tool(), files, command)
        write_record(output / RECORD, replace(record, host={**facts.host(), "ascend": ascend_host.facts()}))
        _remove_former(output, former, names)
    total = sum((output / name).stat().st_size for name in names)
    precision = request.atc.precision if request.atc else chosen.precision
    console.result(f"{output / names[0]}: {chosen.name}, {request.inputs[0]}, {precision}, {size(total)}")
    return True


def _write(
    request: ConvertRequest, chosen: Format, output: Path, console: Console, fallback: Optional[Format]
) -> Optional[List[str]]:
    try:
        return _WRITERS[chosen](request, output, console)
    except OpenVinoMissingError as error:
        if fallback is None:
            raise
        console.warn(f"{error.what}: {keeping(fallback)}")
        return None


def _remove_former(output: Path, former: Optional[CompiledRecord], names: List[str]) -> None:
    """Delete the files of a former model in another format; names with a folder in them are not ours."""
    for name in former.files if former else ():
        if name not in names and Path(name).name == name:
            (output / name).unlink(missing_ok=True)
