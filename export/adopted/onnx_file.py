"""An ONNX graph that was made elsewhere becomes the graph of a card."""

from __future__ import annotations

from pathlib import Path
from typing import Callable, Iterable, List, Optional

import numpy as np
import onnx
from onnx import ModelProto

from clip2om.export import onnx_graph, parity
from clip2om.export.adopted.fitting import check_interface, fit_batch, fit_extents, fold_pixels, keep_output
from clip2om.export.publish import publish
from clip2om.export.request import ExportRequest
from clip2om.pipeline.console import Console
from clip2om.pipeline.errors import RequestError, last_line
from clip2om.pipeline.mean_volume import mean_volume_of
from clip2om.pipeline.records import GraphRecord, Parity
from clip2om.pipeline.tensor import DYNAMIC, TensorSpec

Run = Callable[[np.ndarray], np.ndarray]
_DISTRIBUTIONS = ("onnx", "onnxsim", "onnxruntime", "numpy")
# Where protobuf ends; ATC and ONNX Runtime read one file of no more.
_MOST = 2**31 - 1
_DOMAINS = ("", "ai.onnx")
_CHECK = "check --graph-file"


def export_graph(request: ExportRequest, console: Console) -> GraphRecord:
    """Write the graph under the card's terms and, last, its record, compared with the file as it was given.

    Raises:
        RequestError: no ONNX graph, or one that the card does not describe.
        ShortfallError: the graph as written gives other results than the one that was given.
    """
    console.say(f"reading {request.checkpoint}")
    given = read(request.checkpoint)
    found = check_opset(given, request)
    model = ModelProto()
    model.CopyFrom(given)
    keep_output(model, request)
    check_interface(model, request)
    fit_extents(model, request)
    fit_batch(model, request)
    if request.input_dtype == "uint8" and _dtype(given) == "float32":
        fold_pixels(model, request, mean_volume_of(request.card))
        console.say("the normalisation is part of the graph now: it takes pixels")
    check_runs(model, request, _batch(given))
    model = simplified(model, request, console)
    for line in onnx_graph.atc_limits(model):
        console.warn(line)
    tensors = onnx_graph.describe(model, [request.input, request.logits])
    reference = original(request)

    def compare(graph: Path) -> Parity:
        console.say("comparing the graph with the one that was given")
        return measure(reference, graph, request)

    return publish(
        request,
        tensors,
        lambda path: onnx.save(model, str(path)),
        compare,
        _DISTRIBUTIONS,
        opset=found or request.opset,
    )


def load_network(request: ExportRequest) -> Run:
    """Return the graph that was given as what it computes from normalised batches, float32, whatever their size.

    Raises:
        RequestError: it cannot be run.
    """
    return original(request)


def read(path: Path) -> ModelProto:
    """Return a graph with the weights that lie beside it, checked.

    Raises:
        RequestError: no ONNX graph, one that is cut short, too large, or with files missing.
    """
    try:
        bare = onnx.load(str(path), load_external_data=False)
        if not bare.graph.node:
            raise RequestError("is no ONNX graph, or an empty one", path, _CHECK)
        if path.stat().st_size + _beside(bare, path) > _MOST:
            raise RequestError(
                "has more than 2 GB of weights, which no single file of ONNX holds and ATC does not read",
                path,
                "save it in half precision, or convert it with the tools of CANN",
            )
        return onnx.load(str(path))
    except RequestError:
        raise
    except FileNotFoundError as error:
        raise RequestError(
            f"its weights lie in a file that is not beside it ({error.filename})", path, "copy both"
        ) from None
    except Exception as error:  # protobuf and the checker of external data raise what they like
        raise RequestError(f"is not an ONNX graph, or a damaged one ({last_line(error)[:120]})", path, _CHECK) from None


def check_opset(model: ModelProto, request: ExportRequest) -> int:
    """Return the graph's opset.

    Raises:
        RequestError: it has operators of other domains, or another opset than the one that is asked for.
    """
    strange = sorted({f"{node.op_type} ({node.domain})" for node in model.graph.node if node.domain not in _DOMAINS})
    if strange or model.functions:
        words = ", ".join(strange[:3]) or "functions of its own"
        raise RequestError(
            f"has custom operators, which converters do not know: {words}",
            request.checkpoint,
            "export it with standard operators alone, where it comes from",
        )
    opset = next((entry.version for entry in model.opset_import if entry.domain in _DOMAINS), 0)
    if request.opset and request.opset != opset:
        raise RequestError(
            f"is of opset {opset}, asked for is {request.opset}",
            request.checkpoint,
            f"export it at opset {request.opset} where it comes from, or leave --opset out",
        )
    return opset


def check_runs(model: ModelProto, request: ExportRequest, former: int) -> None:
    """Refuse a graph that does not run with the batch size that is asked for.

    Raises:
        RequestError: what is in it fixes another one, ``former`` where that is known.
    """
    _, batches = probes(request, _dtype(model))
    try:
        for batch in batches:
            rows = onnx_graph.rows_of(model, batch)
            expected = request.logits.with_batch(len(batch) // request.input.folded).shape[0]
            if rows.shape[-1] != request.card.model.classes or len(rows) != expected:
                raise ValueError(f"it gives {'x'.join(map(str, rows.shape))} for {len(batch)} clips")
    except Exception as error:  # ONNX Runtime has exceptions of its own
        asked = "an open batch size" if request.batch == DYNAMIC else f"batch {request.batch}"
        todo = f"say --batch {former}, or" if former not in (DYNAMIC, request.batch) else "check the card, or"
        raise RequestError(
            f"does not run with {asked} ({last_line(error)[-120:]})",
            request.checkpoint,
            f"{todo} export it with {asked} where it comes from",
        ) from None


def simplified(model: ModelProto, request: ExportRequest, console: Console) -> ModelProto:
    """Return what onnxsim makes of a graph if that runs and agrees, else the graph itself, and say which."""
    _, batches = probes(request, _dtype(model))
    made, reason = onnx_graph.simplified(model, batches[0])
    if reason:
        console.say(f"not simplified: {reason}")
    return made


def original(request: ExportRequest) -> Run:
    """Return the graph that was given, run by ONNX Runtime in batches of its own size, on normalised values.

    A graph that takes pixels gets them back from the values.
    """
    import onnxruntime

    model = read(request.checkpoint)
    size, name = _batch(model), request.logits.name
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(str(request.checkpoint), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime has exceptions of its own
        raise RequestError(
            f"ONNX Runtime cannot load it ({last_line(error)[:160]})", request.checkpoint, _CHECK
        ) from None
    feed = session.get_inputs()[0]
    pixels = _dtype(model) == "uint8"
    transform, layout, volume = request.card.transform, request.card.input.layout, mean_volume_of(request.card)

    def call(values: np.ndarray) -> np.ndarray:
        if pixels:
            mean, std = parity.statistics(layout, transform, volume)
            values = np.clip(np.rint((values * std + mean) * np.float32(transform.scale)), 0, 255).astype(np.uint8)
        return np.concatenate([_run(session, feed.name, name, part, size) for part in _parts(values, size)])

    return call


def measure(reference: Run, graph: Path, request: ExportRequest) -> Parity:
    """Return how far the graph as written is from the one that was given, on pixels new to both."""
    values, batches = probes(request, request.input_dtype)
    classes = request.card.model.classes
    expected = np.concatenate([reference(batch) for batch in values])
    found = onnx_graph.run(graph, batches)
    return parity.compare(expected.reshape(-1, classes), found.reshape(-1, classes), "the graph as it was given")


def probes(request: ExportRequest, dtype: str) -> "tuple[List[np.ndarray], List[np.ndarray]]":
    """Return normalised batches to compare on, and the same as a graph of input ``dtype`` takes them."""
    pixels = parity.probe_batches(request.input)
    layout, transform, volume = request.input.layout, request.card.transform, mean_volume_of(request.card)
    values = [parity.normalised(batch, layout, transform, volume) for batch in pixels]
    return values, pixels if dtype == "uint8" else values


def _run(session: object, feed: str, name: str, part: np.ndarray, size: int) -> np.ndarray:
    full = part if size == DYNAMIC or len(part) == size else _padded(part, size)
    return session.run([name], {feed: full})[0][: len(part)]  # type: ignore[attr-defined]


def _parts(values: np.ndarray, size: int) -> Iterable[np.ndarray]:
    return [values] if size == DYNAMIC else (values[start : start + size] for start in range(0, len(values), size))


def _padded(part: np.ndarray, size: int) -> np.ndarray:
    return np.concatenate([part, np.zeros((size - len(part), *part.shape[1:]), part.dtype)])


def _beside(model: ModelProto, path: Path) -> int:
    """Return how many bytes lie in other files; they are looked for in the graph's own folder alone."""
    names = {
        entry.value
        for tensor in model.graph.initializer
        if tensor.data_location == onnx.TensorProto.EXTERNAL
        for entry in tensor.external_data
        if entry.key == "location"
    }
    for name in names:
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise RequestError(f"names a file outside of its folder ({name})", path, "refused")
        if not (path.parent / name).is_file():
            raise RequestError(f"its weights are in {name}, which is not beside it", path, "copy both files")
    return sum((path.parent / name).stat().st_size for name in names)


def _dtype(model: ModelProto) -> str:
    spec = input_of(model)
    return spec.dtype if spec else ""


def _batch(model: ModelProto) -> int:
    spec = input_of(model)
    return spec.batch if spec and spec.shape else DYNAMIC


def input_of(model: ModelProto) -> Optional[TensorSpec]:
    """Return the first input that is no weight, its axes unnamed; None where it has no shape."""
    weights = {tensor.name for tensor in model.graph.initializer}
    values = [value for value in model.graph.input if value.name not in weights]
    return onnx_graph.spec_of(values[0], "") if values else None
