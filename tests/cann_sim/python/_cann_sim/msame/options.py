"""The command line of msame: most usage errors end with exit status 0."""

from __future__ import annotations

import getopt
import re
from dataclasses import dataclass
from typing import Dict, List

from _cann_sim.knobs import names

_NAMES = names("model input output outfmt loop device debug profiler dump dymBatch dymHW dymDims dymShape outputSize")
_SHAPES = ("dymBatch", "dymHW", "dymDims", "dymShape")
_HELP = "usage: ./msame --model <om> [--input <bin,bin|dir,dir>] [--output <dir>] [--outfmt TXT|BIN] [--loop n]"


@dataclass
class Options:
    """What was asked for."""

    model: str
    inputs: List[str]
    output: str
    text: bool
    loop: int
    device: int
    batch: int


class Stop(Exception):  # noqa: N818
    """Ends the program with an exit status, after a message."""

    def __init__(self, status: int, *lines: str) -> None:
        super().__init__(status, lines)
        self.status = status
        self.lines = lines


def parse(arguments: List[str]) -> Options:
    """Read the options.

    Raises:
        Stop: anything that is not a run.
    """
    if not arguments:
        raise Stop(1, _HELP)
    try:
        pairs, _ = getopt.gnu_getopt(arguments, "", [f"{name}=" for name in _NAMES] + ["help"])
    except getopt.GetoptError as error:
        raise Stop(0, f"[ERROR] {error}", _HELP) from error
    given: Dict[str, str] = {name[2:]: value for name, value in pairs}
    if "help" in given:
        raise Stop(0, _HELP)
    model = given.get("model", "")
    if ".om" not in model:
        raise Stop(0, "[ERROR] input model file type is not .om , please check your model type!")
    loop, device = _number(given, "loop", 1), _number(given, "device", 0)
    if not 1 <= loop <= 100:
        raise Stop(0, "[ERROR] loop must in 1 to 100")
    if not 0 <= device <= 255:
        raise Stop(0, "[ERROR] device id must in 0 to 255")
    _check_combinations(given)
    inputs = [path for path in given.get("input", "").split(",") if path]
    batch = _number(given, "dymBatch", 0)
    return Options(model, inputs, given.get("output", ""), given.get("outfmt") == "TXT", loop, device, batch)


def _number(given: Dict[str, str], name: str, default: int) -> int:
    # atoi: what is no number is 0.
    found = re.match(r"\s*[-+]?\d+", given.get(name, str(default)))
    return int(found.group()) if found else 0


def _check_combinations(given: Dict[str, str]) -> None:
    profiler, dump = (given.get(name) == "true" for name in ("profiler", "dump"))
    if profiler and dump:
        raise Stop(1, "[ERROR] dump and profiler can not both be true")
    if (profiler or dump) and not given.get("output"):
        raise Stop(1, "[ERROR] when dump or profiler, miss output path, please check them!")
    shapes = [name for name in _SHAPES if given.get(name)]
    if len(shapes) > 1:
        raise Stop(1, "[ERROR] dymBatch, dymHW, dymDims and dymShape can not be set at the same time")
    if "dymShape" in shapes and not given.get("input"):
        raise Stop(1, "[ERROR] dymShape needs input")
    if _number(given, "dymBatch", 0) > 2048:
        raise Stop(0, "[ERROR] dymBatch must in 1 to 2048")
    if shapes and shapes != ["dymBatch"]:
        raise Stop(1, "[ERROR] the simulator has dymBatch only")
