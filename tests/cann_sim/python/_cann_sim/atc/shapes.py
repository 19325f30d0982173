"""--input_shape and the options that make gears of it [S]."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Dict, List, Optional

from _cann_sim.atc.console import Refused, bad_value

_KINDS = {"dynamic_batch_size": "batch", "dynamic_image_size": "hw", "dynamic_dims": "dims"}
_EXCLUSIVE = (*_KINDS, "input_shape_range")
_FEWEST, _MOST = 2, 100
_LARGEST = 2**31 - 1


@dataclass
class Shapes:
    """What the shape options ask for: dims per input name, and gears if any."""

    inputs: Dict[str, List[int]]
    kind: Optional[str] = None
    gears: Optional[List[List[int]]] = None

    def fill(self, dims: Dict[str, List[int]], values: List[int]) -> Dict[str, List[int]]:
        """Return ``dims`` of the inputs with a gear's ``values`` in their open places."""
        rest = list(values)
        chosen = {}
        # Values are in the order of input_shape; one batch or image size serves every input.
        for name in [*self.inputs, *[name for name in dims if name not in self.inputs]]:
            if self.kind == "dims":
                chosen[name] = [rest.pop(0) if extent == -1 else extent for extent in dims[name]]
            else:
                own = iter(values)
                chosen[name] = [next(own) if extent == -1 else extent for extent in dims[name]]
        return {name: chosen[name] for name in dims}


def check_dynamic(flags: Dict[str, str]) -> None:
    """Check the shape options as far as that needs no model (step 12)."""
    read_shapes(flags)


def read_shapes(flags: Dict[str, str]) -> Shapes:
    """Return what the shape options say.

    Raises:
        Refused: with the code of the rule that is broken.
    """
    dynamic = [name for name in _EXCLUSIVE if flags.get(name)]
    if len(dynamic) > 1:
        raise Refused(
            "E10009",
            "--dynamic_batch_size, --dynamic_image_size, --input_shape_range, and --dynamic_dims are mutually "
            "exclusive.",
        )
    if dynamic and dynamic != ["input_shape_range"] and not flags.get("input_shape"):
        raise Refused("E10004", "Value for [--input_shape] is empty.")
    inputs = _parse(flags.get("input_shape", ""), ranges=not dynamic)
    if not dynamic or dynamic == ["input_shape_range"]:
        return Shapes(inputs)
    option = dynamic[0]
    reader = {"dynamic_batch_size": _batch, "dynamic_image_size": _image, "dynamic_dims": _dims}[option]
    gears = reader(flags, inputs)
    if len(gears) < _FEWEST:
        raise Refused("E10035", f"The number of gears of [--{option}] must be at least {_FEWEST}, is {len(gears)}.")
    if len(gears) > _MOST:
        raise Refused("E10036", f"The number of gears of [--{option}] must be at most {_MOST}, is {len(gears)}.")
    if len({tuple(gear) for gear in gears}) != len(gears):
        raise Refused("E10039", f"The gears of [--{option}] contain duplicates.")
    return Shapes(inputs, _KINDS[option], gears)


def _parse(text: str, ranges: bool) -> Dict[str, List[int]]:
    inputs: Dict[str, List[int]] = {}
    for part in filter(None, text.split(";")):
        # Split at the last colon: names may contain some.
        name, colon, dims = part.rpartition(":")
        if not colon or not name:
            raise bad_value(part, "--input_shape", "the format is name:dim,dim,...", "E10002")
        inputs[name] = [_extent(word, text, ranges) for word in dims.split(",")] if dims else []
    return inputs


def _extent(word: str, whole: str, ranges: bool) -> int:
    if "~" in word:
        if not ranges:
            raise Refused("E10040", "A range in [--input_shape] cannot be used with a dynamic_* option.")
        if re.fullmatch(r"\d+~(\d+|-1)", word):
            return -1
    if re.fullmatch(r"-?\d+\.\d*", word):
        raise bad_value(whole, "--input_shape", "The float number is unsupported", "E10002")
    if not re.fullmatch(r"-1|\d+", word):
        raise bad_value(whole, "--input_shape", f"[{word}] is not a number", "E10014")
    if int(word) > _LARGEST:
        raise Refused("E10013", f"Value [{word}] for [--input_shape] is out of range.")
    return int(word)


def _numbers(option: str, text: str, separator: str = ",") -> List[int]:
    if not re.fullmatch(rf"\d+({separator}\d+)*", text):
        code = "E10001" if option == "dynamic_dims" else "E10003"
        raise bad_value(text, f"--{option}", "only digits and commas are allowed", code)
    return [int(word) for word in text.split(separator)]


def _batch(flags: Dict[str, str], inputs: Dict[str, List[int]]) -> List[List[int]]:
    gears = [[size] for size in _numbers("dynamic_batch_size", flags["dynamic_batch_size"])]
    if any(gear == [0] for gear in gears):
        raise bad_value(flags["dynamic_batch_size"], "--dynamic_batch_size", "a batch must be positive", "E10003")
    for name, dims in inputs.items():
        if not dims:
            raise Refused("E10012", f"Input [{name}] is a scalar: no dynamic batch.")
        if -1 in dims[1:]:
            raise Refused("E10018", f"[--dynamic_batch_size]: only the first dim of input [{name}] may be -1.")
    if not any(dims[0] == -1 for dims in inputs.values()):
        raise Refused("E10031", "[--dynamic_batch_size] is set, but no input of [--input_shape] has a batch of -1.")
    return gears


def _image(flags: Dict[str, str], inputs: Dict[str, List[int]]) -> List[List[int]]:
    height = 1 if flags.get("input_format") == "NHWC" else 2
    gears = [_numbers("dynamic_image_size", part) for part in flags["dynamic_image_size"].split(";")]
    if any(len(gear) != 2 for gear in gears):
        raise Refused("E10020", f"[--dynamic_image_size]: [{flags['dynamic_image_size']}] is not a list of h,w pairs.")
    open_dims = [[place for place, extent in enumerate(dims) if extent == -1] for dims in inputs.values()]
    if any(len(dims) != 4 for dims in inputs.values()) or any(p not in ([], [height, height + 1]) for p in open_dims):
        raise Refused("E10019", "[--dynamic_image_size]: only height and width of 4-D inputs may be -1.")
    if not any(open_dims):
        raise Refused("E10031", "[--dynamic_image_size] is set, but no input of [--input_shape] has -1.")
    return gears


def _dims(flags: Dict[str, str], inputs: Dict[str, List[int]]) -> List[List[int]]:
    if flags.get("input_format") != "ND":
        raise bad_value(flags.get("input_format", ""), "--input_format", "must be ND with --dynamic_dims")
    gears = [_numbers("dynamic_dims", part) for part in flags["dynamic_dims"].split(";")]
    needed = sum(dims.count(-1) for dims in inputs.values())
    if needed == 0:
        raise Refused("E10031", "[--dynamic_dims] is set, but no input of [--input_shape] has -1.")
    if any(len(gear) != needed for gear in gears):
        raise bad_value(flags["dynamic_dims"], "--dynamic_dims", f"every gear needs {needed} values", "E10003")
    return gears
