"""What an ONNX graph must be before it is handed on."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from clip2om.export import onnx_graph
from clip2om.pipeline.errors import ShortfallError
from clip2om.pipeline.tensor import TensorSpec

INPUT, OUTPUT = TensorSpec("input", "float32", (2, 3), "NC"), TensorSpec("output", "float32", (2, 3), "NC")


def graph(*nodes):
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2, 3]) for name in ("input", "output")]
    body = helper.make_graph(list(nodes), "test", value[:1], value[1:])
    return helper.make_model(body, opset_imports=[helper.make_opsetid("", 11)], ir_version=6)


RELU = helper.make_node("Relu", ["input"], ["output"])


def test_graph_of_known_operators_passes():
    onnx_graph.check(graph(RELU), ["Relu"])


def test_unknown_operators_are_refused_by_name():
    with pytest.raises(ShortfallError, match="has operators Relu, expected only Add, Conv") as caught:
        onnx_graph.check(graph(RELU), ["Conv", "Add"])
    assert caught.value.exit_code == 1


def test_invalid_graph_is_refused():
    with pytest.raises(ShortfallError, match="the ONNX checker rejects the graph"):
        onnx_graph.check(graph(helper.make_node("Relu", ["nowhere"], ["output"])), ["Relu"])


@pytest.mark.parametrize(
    "other",
    [
        TensorSpec("data", "float32", (2, 3), "NC"),
        TensorSpec("input", "uint8", (2, 3), "NC"),
        TensorSpec("input", "float32", (-1, 3), "NC"),
    ],
)
def test_other_name_dtype_or_shape_is_refused(other):
    assert onnx_graph.describe(graph(RELU), [INPUT, OUTPUT]) == [INPUT, OUTPUT]
    with pytest.raises(ShortfallError, match="the graph has input float32 2x3 NC"):
        onnx_graph.describe(graph(RELU), [other, OUTPUT])


def test_simplified_graph_holds_constants_as_initializers(tmp_path):
    values = np.arange(3, dtype=np.float32)
    constant = helper.make_node("Constant", [], ["bias"], value=numpy_helper.from_array(values))
    unused = helper.make_node("Identity", ["input"], ["same"])
    model = onnx_graph.simplify(graph(constant, unused, helper.make_node("Add", ["same", "bias"], ["output"])))
    onnx_graph.check(model, ["Add"])
    assert [tensor.name for tensor in model.graph.initializer] == ["bias"]
    onnx.save(model, str(tmp_path / "model.onnx"))
    batch = np.ones((2, 3), np.float32)
    assert np.array_equal(onnx_graph.run(tmp_path / "model.onnx", [batch]), batch + values)
