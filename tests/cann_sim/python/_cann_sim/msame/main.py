"""msame: file mode, folder mode and pure inference."""

from __future__ import annotations

import os
import sys
from datetime import datetime
from pathlib import Path
from typing import List, Optional

import numpy as np

from _cann_sim.msame.model import Runner
from _cann_sim.msame.options import Options, Stop, parse

_CRASHED = 134  # SIGABRT: an uncaught std::out_of_range


def main(arguments: List[str]) -> int:
    """Run msame and return its exit status, which says little: look for "Execute sample success"."""
    try:
        options = parse(arguments)
        folders = _is_folders(options)
        folder = _make_output(options.output)
        return _run(options, folders, folder)
    except Stop as stop:
        for line in stop.lines:
            _say(line)
        return stop.status


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _is_folders(options: Options) -> bool:
    if not options.inputs or ".bin" in options.inputs[0]:
        return False
    for path in options.inputs:
        if not os.path.exists(path):
            raise Stop(0, f"[ERROR] {path} doesn't exist")
        if not os.path.isdir(path):
            raise Stop(0, "[ERROR] input parameter must be folder or file ending in '.bin'")
    return True


def _make_output(output: str) -> Optional[Path]:
    if not output:
        return None
    now = datetime.now()
    # No zero padding.
    name = f"{now.year}{now.month}{now.day}_{now.hour}_{now.minute}_{now.second}_{now.microsecond}"
    folder = Path(output) / name
    try:
        # Parents of --output are not created, --output itself is.
        Path(output).mkdir(mode=0o775, exist_ok=True)
        folder.mkdir(mode=0o775)
    except OSError as error:
        raise Stop(0, "[ERROR] current user does not have permission") from error
    _say(str(folder))
    return folder


def _run(options: Options, folders: bool, folder: Optional[Path]) -> int:
    runner = Runner(options, _say)
    try:
        runner.load()
        status = _folders(options, runner, folder) if folders else _files(options, runner, folder)
        runner.close()
        if status == 0:
            _say(f"[INFO] pid: {os.getpid()} Execute sample success")
        return status
    except Stop as stop:
        for line in stop.lines:
            _say(line)
        runner.close()
        return stop.status
    finally:
        runner.leave()


def _files(options: Options, runner: Runner, folder: Optional[Path]) -> int:
    if options.inputs:
        contents = [_read(path) for path in options.inputs]
    else:
        contents = [bytes(size) for size in runner.inputs[: runner.visible_inputs]]
    times = runner.execute(contents)
    if not times:
        _say("[ERROR] model execute failed")
        return 1
    if folder is not None:
        _save(runner.results(), folder, _without_suffix(os.path.basename(options.model)), options.text)
    _say("[INFO] destroy model input success")
    _say(f"Inference average time: {sum(times) / len(times):f} ms")
    if len(times) > 1:
        _say(f"Inference average time without first time: {sum(times[1:]) / (len(times) - 1):f} ms")
    return 0


def _folders(options: Options, runner: Runner, folder: Optional[Path]) -> int:
    names = sorted(name for name in os.listdir(options.inputs[0]) if not name.startswith("."))
    everything: List[float] = []
    for number, name in enumerate(names):
        _say(f"[INFO] start to process file:{os.path.join(options.inputs[0], name)}")
        stem = _without_suffix(name)
        times = runner.execute([_read(os.path.join(path, name)) for path in options.inputs])
        if not times:
            _say("[ERROR] model execute failed")
            # Sic: only a failure of the second file ends the run.
            if number == 1:
                return 1
            continue
        everything += times
        if folder is not None:
            _save(runner.results(), folder, stem, options.text)
        _say("[INFO] destroy model input success")
    if everything:
        _say(f"Inference average time : {sum(everything) / len(everything):.2f} ms")
        if len(everything) > 1:
            _say(f"Inference average time without first time: {sum(everything[1:]) / (len(everything) - 1):.2f} ms")
    return 0


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise Stop(1, f"[ERROR] open file {path} failed") from error


def _without_suffix(name: str) -> str:
    if "." not in name:
        sys.stdout.flush()
        sys.stderr.write("terminate called after throwing an instance of 'std::out_of_range'\n")
        # A crash runs no clean-up, and no simulated one either.
        os._exit(_CRASHED)
    return name[: name.rindex(".")]


def _save(outputs: List[np.ndarray], folder: Path, stem: str, text: bool) -> None:
    for index, array in enumerate(outputs):
        if text:
            _save_text(folder / f"{stem}_output_{index}.txt", array)
        else:
            array.tofile(folder / f"{stem}_output_{index}.bin")


def _save_text(path: Path, array: np.ndarray) -> None:
    if array.dtype in (np.int8, np.uint8):
        # Sic: written as characters.
        path.write_bytes(b" ".join(bytes([int(value) & 0xFF]) for value in array.reshape(-1)) + b" \n")
        return
    rows = array.reshape(-1, array.shape[-1])
    lines = (" ".join(f"{float(value):g}" if array.dtype.kind == "f" else str(value) for value in row) for row in rows)
    path.write_text("".join(line + " \n" for line in lines))
