"""Carry out one conversion: write the model's files, then the record that makes them a compiled model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import List, Optional

from convert.formats import OM, OPENVINO, Format
from convert.record import describe
from convert.request import RECORD, ConvertRequest
from pipeline import ascend_host, facts
from pipeline.artifact import folder_lock, remove_partials, sha256_file
from pipeline.console import Console, size
from pipeline.records import CompiledRecord, find_record, write_record


def build(
    request: ConvertRequest, chosen: Format, output: Path, command: str, console: Console, last: bool = True
) -> bool:
    """Compile the graph into ``output``.

    Args:
        request: What to compile.
        chosen: The format.
        output: Folder of the compiled model.
        command: The command that repeats the conversion, for the record.
        console: Where to report.
        last: There is no other format to fall back on.

    Returns:
        False where the converter is installed but cannot be imported and ``last`` is false.

    Raises:
        RequestError: the converter cannot be imported, or refuses the graph or the batch size.
    """
    with folder_lock(output):
        remove_partials(output)
        former = find_record(output / RECORD, CompiledRecord)
        names = _write(request, chosen, output, console, last)
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


def _write(request: ConvertRequest, chosen: Format, output: Path, console: Console, last: bool) -> Optional[List[str]]:
    if chosen == OM:
        from convert.om_from_graph import om_from_graph

        return om_from_graph(request, output, console)
    if chosen != OPENVINO:
        from convert.onnx_from_onnx import copy_onnx

        return copy_onnx(request, output)
    from convert.openvino_from_onnx import OpenVinoMissingError, openvino_from_onnx

    try:
        return openvino_from_onnx(request, output)
    except OpenVinoMissingError as error:
        if last:
            raise
        console.warn(f"{error.what}: keeping ONNX, which the onnxruntime engine runs")
        return None


def _remove_former(output: Path, former: Optional[CompiledRecord], names: List[str]) -> None:
    """Delete the files of a former model in another format; names with a folder in them are not ours."""
    for name in former.files if former else ():
        if name not in names and Path(name).name == name:
            (output / name).unlink(missing_ok=True)
