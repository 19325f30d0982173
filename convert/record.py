"""The record of a compiled model, and whether an earlier conversion already made what is asked for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Dict, Optional

from clip2om.convert.atc_command import recorded_command
from clip2om.convert.formats import Format
from clip2om.convert.request import RECORD, ConvertRequest
from clip2om.pipeline.artifact import sha256_file
from clip2om.pipeline.records import CompiledRecord, find_record


def find_current(request: ConvertRequest, chosen: Format, output: Path) -> Optional[CompiledRecord]:
    """Return the record of an earlier conversion that fulfils ``request``, or None where there is work to do.

    The converter itself is not loaded: its version is read from what is installed. Where it is not installed,
    the model may be the work of any version: a host that only runs models need not have ATC.
    """
    record = find_record(output / RECORD, CompiledRecord)
    if record is None:
        return None
    tool = chosen.tool() or record.tool
    wanted = describe(request, chosen, tool, record.files, record.command)
    if replace(record, host={}) != wanted:
        return None
    for name, digest in record.files.items():
        if not (output / name).is_file() or sha256_file(output / name) != digest:
            return None
    return record


def describe(request: ConvertRequest, chosen: Format, tool: str, files: Dict[str, str], command: str) -> CompiledRecord:
    """Return the record of ``files`` (name to SHA-256, the model first) that ``tool`` made for ``request``."""
    return CompiledRecord(
        format=chosen.name,
        files=files,
        card=request.record.card,
        soc=request.soc,
        batch=request.batch,
        precision=request.atc.precision if request.atc else chosen.precision,
        command=command,
        tool=tool,
        graph_sha256=request.record.sha256,
        inputs=request.inputs,
        outputs=request.outputs,
        gears=request.gears,
        atc_command=recorded_command(request),
        transform_digest=request.record.transform_digest,
        calibration=request.calibration.facts if request.calibration else None,
        labels_digest=request.labels_digest,
    )
