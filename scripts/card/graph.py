"""What an ONNX graph tells: names, extents, layout, classes."""

from __future__ import annotations

from pathlib import Path
from typing import Dict, List, Tuple

from clip2om.export.adopted.onnx_file import input_of, read
from clip2om.export.onnx_graph import spec_of
from clip2om.pipeline.console import Console
from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.tensor import DYNAMIC
from clip2om.scripts.card.draft import Draft

# Where a graph leaves an extent open.
_USUAL = {"C": 3, "T": 16, "H": 112, "W": 112}
_CHANNELS = (3, 1, 2)
_MEAN, _STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


def describe(path: Path, console: Console) -> Draft:
    """Return the draft of a card for an ONNX graph.

    Raises:
        RequestError: no graph, or not one of video clips.
    """
    model = read(path)
    if not model.graph.output:
        raise RequestError("has no output", path, "check FROM")
    spec, output = input_of(model), spec_of(model.graph.output[0], "")
    if spec is None or len(spec.shape) not in (5, 6):
        axes = "no input" if spec is None else f"an input of {len(spec.shape)} axes ({'x'.join(map(str, spec.shape))})"
        raise RequestError(f"has {axes}, a graph of video clips has 5: N, C, T, H, W in any order", path, "check FROM")
    if spec.dtype not in ("float32", "uint8"):
        raise RequestError(f"has an input of {spec.dtype}", path, "export it with a float32 input")
    classes = output.shape[-1] if output.shape else DYNAMIC
    if classes in (DYNAMIC, 0):
        raise RequestError("does not say how many scores it gives", path, "export it with a fixed number of classes")
    layout = layout_of(spec.shape)
    extents = {axis: extent for axis, extent in zip(layout, spec.shape)}
    open_axes = [axis for axis in layout[1:] if extents[axis] == DYNAMIC]
    found = {axis: _USUAL.get(axis, 1) if axis in open_axes else extents[axis] for axis in layout[1:]}
    draft = Draft(f"{path.stem}, {classes} classes", _sections(path, layout, found, classes))
    draft.set("input", name=spec.name, dtype=spec.dtype, **({} if spec.batch == DYNAMIC else {"batch": spec.batch}))
    draft.set("export", output_name=output.name)
    draft.doubt("clips", *draft.sections["clips"])
    draft.doubt("transform", *(key for key in draft.sections["transform"] if key != "size" or "H" in open_axes))
    if open_axes or found["H"] == found["T"]:
        draft.doubt("input", "shape", "layout")
    draft.doubt("scores", "activation")
    console.say(f"{path}: an ONNX graph, {spec.name} {layout} {'x'.join(map(str, found.values()))}, {classes} classes")
    if len(model.graph.output) > 1:
        others = ", ".join(value.name for value in model.graph.output)
        console.warn(f"the graph has the outputs {others}: export.output_name is the first")
    return draft


def layout_of(shape: Tuple[int, ...]) -> str:
    """Return the layout of clips, by where the axis of channels is: one of the extents that channels have.

    Raises:
        RequestError: there is none.
    """
    head = "NK" if len(shape) == 6 else "N"
    rest = shape[len(head) :]
    for count in _CHANNELS:
        for place, layout in ((0, "CTHW"), (1, "TCHW"), (3, "THWC")):
            if rest[place] == count:
                return head + layout
    raise RequestError(f"has an input of {'x'.join(map(str, shape))}: no axis has 3 channels", None, "check FROM")


def _sections(path: Path, layout: str, found: Dict[str, int], classes: int) -> Dict[str, Dict[str, object]]:
    size, channels = found["H"], found["C"]
    shape: List[int] = [found[axis] for axis in layout[1:]]
    mean, std = (_MEAN, _STD) if channels == 3 else ([0.5] * channels, [0.5] * channels)
    return {
        "model": {"framework": "onnx", "network": "graph", "classes": classes, "checkpoint": str(path.absolute())},
        "input": {"name": "", "layout": layout, "shape": shape, "dtype": "float32"},
        "clips": {"sampler": "uniform", "frames": found["T"], "count": found.get("K", 10)},
        "transform": {
            "resize": max(size, size * 8 // 7),
            "size": size,
            "kernel": "pil-bilinear",
            "crop": "center",
            "color": "RGB",
            "scale": 255.0,
            "mean": mean,
            "std": std,
        },
        "dataset": {"name": "videos", "annotation": "", "videos": ""},
        "export": {"output_name": ""},
        "atc": {"framework": 5, "input_format": "NCDHW" if layout == "NCTHW" else "ND"},
        "scores": {"activation": "softmax"},
    }
