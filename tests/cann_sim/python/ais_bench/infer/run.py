"""python3 -m ais_bench: one device, or one process per device [S]."""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
import traceback
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

import numpy as np

from ais_bench.infer import args as options
from ais_bench.infer import results
from ais_bench.infer.generation import is_second, log, plain
from ais_bench.infer.grouping import Batch, group, list_files, read


def main(argv: List[str]) -> int:
    """Run and return the exit status; exceptions end in a traceback and 1."""
    args = options.parse(argv[1:])
    args.argv = argv
    folder = None
    if args.output is not None:
        folder = Path(args.output) / (args.output_dirname or time.strftime("%Y_%m_%d-%H_%M_%S"))
    if len(args.device) > 1:
        return _run_many(args, folder)
    _run_one(args, args.device[0], folder, None)
    return 0


def _run_one(
    args: argparse.Namespace, device: int, folder: Optional[Path], files: Optional[List[List[str]]]
) -> Tuple[float, float, float]:
    from ais_bench.infer.interface import InferSession

    session = InferSession(device, args.model, args.acl_json_path, args.debug, args.loop)
    try:
        return _infer(args, session, folder, files)
    finally:
        session.free_resource()


def _infer(args: argparse.Namespace, session: Any, folder: Optional[Path], files: Any) -> Tuple[float, float, float]:
    _set_shape(args, session)
    inputs = session.get_inputs()
    batchsize = args.batchsize or args.dymBatch or inputs[0].shape[0]
    log("INFO", f"try get model batchsize:{batchsize}")
    batches = None
    if folder is not None and is_second():
        results.make_folder(folder)
        log("INFO", f"output path:{folder}")
    if args.input is not None:
        files = list_files(args.input, len(inputs)) if files is None else files
        single = args.auto_set_dymshape_mode or args.auto_set_dymdims_mode
        batches = _one_file_each(files, inputs) if args.pipeline else group(files, inputs[0].realsize, single)
    if folder is not None and not is_second():
        results.make_folder(folder)
        log("INFO", f"output path:{folder}")
    # On the first batch's files, after they were read.
    feeds = [np.zeros(tensor.realsize, np.int8) for tensor in inputs]
    feeds = feeds if batches is None else _read_batch(batches[0])
    for _ in range(args.warmup_count):
        session.run(feeds)
    log("INFO", f"warm up {args.warmup_count} done")
    session.reset_summaryinfo()
    begin = time.time()
    information = _pure(args, session, inputs, folder) if batches is None else _files(args, session, batches, folder)
    end = time.time()
    times = session.summary()
    compute = [t[1] - t[0] if isinstance(t, tuple) else t for t in times.exec_time_list]
    summary = results.report(compute, times.h2d, times.d2h, batchsize, args.display_all_summary)
    if folder is not None:
        results.write_summary(folder, {"filesinfo": information, "args": args.argv, **summary})
    return summary["throughput"], begin, end


def _set_shape(args: argparse.Namespace, session: Any) -> None:
    if args.dymHW or args.dymDims or args.dymShape or args.dymShape_range:
        raise RuntimeError("the simulator has --dymBatch only")
    if args.dymBatch:
        session.set_dynamic_batchsize(args.dymBatch)
    elif session.is_dynamic and is_second():
        raise RuntimeError("dynamic batch om model detected, but dymbatch, dymdims or dymshape not set!")


def _one_file_each(files: List[List[str]], inputs: List[Any]) -> List[Batch]:
    for index, (paths, tensor) in enumerate(zip(files, inputs)):
        for path in paths:
            size = read(path).nbytes
            if size != tensor.realsize:
                log("ERROR", f"tensor_num:{index} tensorsize:{tensor.realsize} filesize:{size} not match")
                raise RuntimeError("tensor and file sizes do not match")
    return [Batch([[paths[i]] for paths in files], 1) for i in range(len(files[0]))]


def _pure(args: argparse.Namespace, session: Any, inputs: List[Any], folder: Optional[Path]) -> Dict[str, Any]:
    generator = np.random.default_rng()
    feeds = [
        generator.integers(-128, 128, tensor.realsize, np.int8)
        if args.pure_data_type == "random"
        else np.zeros(tensor.realsize, np.int8)
        for tensor in inputs
    ]
    log("INFO", f"loop inference exec: ({args.loop}/{args.loop})")
    outputs = session.run(feeds)
    written = []
    if folder is not None:
        for index, output in enumerate(outputs):
            target = folder / f"pure_infer_data_{index}.{args.outfmt.lower()}"
            results.write(target, output, args.outfmt)
            written.append(str(target))
    return {"0": {"infiles": [], "outfiles": written}}


def _files(args: argparse.Namespace, session: Any, batches: List[Batch], folder: Optional[Path]) -> Dict[str, Any]:
    information: Dict[str, Any] = {}
    for number, batch in enumerate(batches):
        outputs = session.run(_read_batch(batch))
        written: List[List[str]] = [[] for _ in range(batch.real)]
        if folder is not None:
            axis = args.output_batchsize_axis
            written = results.save(batch, outputs, folder, args.outfmt, axis, args.pipeline)
        # One entry per input file: infiles has one per model input, outfiles one per output.
        for infiles, outfiles in zip(zip(*batch.files), written):
            information[str(len(information))] = {"infiles": list(infiles), "outfiles": outfiles}
        _bar(number + 1, len(batches))
    return information


def _bar(done: int, total: int) -> None:
    """Draw the progress bar: on stdout, and the next text follows on its line."""
    sys.stdout.write(f"\rInference Processing: {100 * done // total:3d}%|{'#' * 10}| {done}/{total}")
    sys.stdout.flush()


def _read_batch(batch: Batch) -> List[np.ndarray]:
    return [_join([read(path) for path in paths]) for paths in batch.files]


def _join(arrays: List[np.ndarray]) -> np.ndarray:
    return np.concatenate([np.ascontiguousarray(array).reshape(-1).view(np.int8) for array in arrays])


def _run_many(args: argparse.Namespace, folder: Optional[Path]) -> int:
    devices = args.device
    say = (lambda text: log("INFO", text)) if is_second() else plain
    say(f"multidevice:{devices} run begin")
    if args.input is not None and args.divide_input:
        from ais_bench.infer.interface import InferSession

        # Sic: to see how the input divides, the parent loads the model on device 0, whatever the list says.
        InferSession(0, args.model, args.acl_json_path).free_resource()
    jobs = [(args, i, device, _device_folder(folder, i, device), _share(args, i)) for i, device in enumerate(devices)]
    reports: List[Any] = []
    with multiprocessing.get_context("spawn").Pool(len(devices)) as pool:
        for job in [pool.apply_async(_child, (job,)) for job in jobs]:
            try:
                reports.append(job.get())
            except Exception as error:
                log("ERROR", f"subprocess run failed error_callback:{error}")
    for index, device, throughput, begin, end in sorted(reports):
        say(f"i:{index} device_{device} throughput:{throughput} start_time:{begin} end_time:{end}")
    # Every child puts two entries: one when it is warm, one when it is done.
    result = 0 if len(reports) == len(devices) else 1
    say(f"multidevice run end qsize:{2 * len(reports)} result:{result}")
    say(f"summary throughput:{sum(entry[2] for entry in reports)}")
    return result


def _child(job: Any) -> Tuple[int, int, float, float, float]:
    args, index, device, folder, files = job
    try:
        return (index, device, *_run_one(args, device, folder, files))
    except Exception:
        traceback.print_exc(file=sys.stderr)
        raise


def _device_folder(folder: Optional[Path], index: int, device: int) -> Optional[Path]:
    if folder is None:
        return None
    return folder / (f"device{device}_{index}" if is_second() else f"device{device}")


def _share(args: argparse.Namespace, index: int) -> Optional[List[List[str]]]:
    """Return the files of one process: a contiguous share, or None for all of them."""
    if args.input is None or not args.divide_input:
        return None
    files = list_files(args.input, len(args.input.split(",")) if Path(args.input.split(",")[0]).is_dir() else 1)
    count, devices = len(files[0]), len(args.device)
    if is_second():
        # Evenly, the first ones get the rest.
        starts = [i * (count // devices) + min(i, count % devices) for i in range(devices + 1)]
    else:
        starts = [min(i * -(-count // devices), count) for i in range(devices + 1)]
    return [paths[starts[index] : starts[index + 1]] for paths in files]
