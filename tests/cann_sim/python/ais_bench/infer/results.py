"""Output files, the summary, and the report on the console [S]."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Dict, List, Sequence

import numpy as np

from ais_bench.infer.generation import is_second, log, writes_inner_summary
from ais_bench.infer.grouping import Batch

_FOLDER_MODE, _FILE_MODE = 0o750, 0o640


def make_folder(path: Path) -> None:
    """Create the output folder; an existing one is reused."""
    old = os.umask(0o027 if is_second() else 0o022)
    try:
        path.mkdir(parents=True, exist_ok=True)
    finally:
        os.umask(old)


def save(
    batch: Batch, outputs: Sequence[np.ndarray], folder: Path, form: str, axis: int, pipeline: bool
) -> List[List[str]]:
    """Write the outputs of one batch, one file per input file and output; returns their paths by input file.

    Raises:
        RuntimeError: an output that cannot be split among the files.
    """
    written: List[List[str]] = [[] for _ in range(batch.real)]
    for index, output in enumerate(outputs):
        parts = split(output, len(batch.files[0]), axis)
        for names, path, part in zip(written, batch.files[0], parts):
            target = folder / f"{stem(path, pipeline)}_{index}.{form.lower()}"
            write(target, part, form)
            names.append(str(target))
    return written


def stem(path: str, pipeline: bool) -> str:
    """Return the name of an input file up to its FIRST dot; with --pipeline without .npy or .bin only."""
    name = os.path.basename(path)
    if pipeline:
        return name[:-4] if name.endswith((".npy", ".bin")) else name
    return name.split(".")[0]


def split(output: np.ndarray, count: int, axis: int) -> List[np.ndarray]:
    """Cut an output into one part per file."""
    if count == 1:
        return [output]
    if axis >= output.ndim or output.shape[axis] % count:
        log("ERROR", f"save out files error array shape:{output.shape} filesinfo:{count} axis:{axis}")
        raise RuntimeError(f"save out files error array shape:{output.shape}")
    return np.array_split(output, count, axis)


def write(target: Path, array: np.ndarray, form: str) -> None:
    """Write one array; an existing file is overwritten."""
    if form == "BIN":
        array.tofile(target)
    elif form == "NPY":
        np.save(target, array)
    else:
        rows = array.reshape(-1, array.shape[-1]) if array.ndim else array.reshape(1, 1)
        # Sic: a blank after every value, the last of a row too.
        form = "%f" if array.dtype.kind == "f" else "%d"
        np.savetxt(target, rows, [f"{form} "] * rows.shape[1], delimiter="")
    if is_second():
        target.chmod(_FILE_MODE)


def statistics(values: Sequence[float]) -> Dict[str, float]:
    """Return the block of one time: all 0.0 where nothing was measured."""
    if not values:
        return {"min": 0.0, "max": 0.0, "mean": 0.0, "median": 0.0, "percentile(99%)": 0.0, "count": 0}
    array = np.array(values)
    return {
        "min": float(array.min()),
        "max": float(array.max()),
        "mean": float(array.mean()),
        "median": float(np.median(array)),
        "percentile(99%)": float(np.percentile(array, 99)),
        "count": len(values),
    }


def report(compute: List[float], h2d: List[float], d2h: List[float], batch: int, everything: bool) -> Dict[str, Any]:
    """Print the summary and return it as the summary file holds it."""
    blocks = {
        "NPU_compute_time": statistics(compute),
        "H2D_latency": statistics(h2d),
        "D2H_latency": statistics(d2h),
    }
    mean = blocks["NPU_compute_time"]["mean"]
    throughput = 1000 * batch / mean if mean else 0.0
    log("INFO", "-----------------Performance Summary------------------")
    order = ["H2D_latency", "NPU_compute_time", "D2H_latency"] if everything else ["NPU_compute_time"]
    for name in order:
        values = ", ".join(f"{key} = {value}" for key, value in blocks[name].items() if key != "count")
        log("INFO", f"{name} (ms): {values}")
    log("INFO", f"throughput 1000*batchsize.mean({batch})/NPU_compute_time.mean({mean}): {throughput}")
    log("INFO", "------------------------------------------------------")
    return {**blocks, "throughput": throughput, "npu_compute_time_list": compute, "pid": os.getpid()}


def write_summary(folder: Path, content: Dict[str, Any]) -> None:
    """Write the summary beside the folder; versions before G1 wrote sumary.json (sic) inside."""
    target = folder / "sumary.json" if writes_inner_summary() else Path(f"{folder}_summary.json")
    target.write_text(json.dumps(content))
    if is_second():
        target.chmod(_FILE_MODE)
