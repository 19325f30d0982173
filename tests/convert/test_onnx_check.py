"""What ATC may refuse of an ONNX graph, found without the package onnx."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from clip2om.convert.onnx_check import doubts
from clip2om.convert.onnx_nodes import read_nodes
from tests.cann_sim.samples import write_onnx
from tests.convert.graphs import Graph
from tests.convert.graphs import write_onnx as write_graph


def test_nodes_are_those_that_onnx_reads(tmp_path: Path) -> None:
    write_graph(Graph(), tmp_path / "g.onnx")
    model = onnx.load(str(tmp_path / "g.onnx"))
    found = read_nodes(tmp_path / "g.onnx")
    assert [node.kind for node in found] == [node.op_type for node in model.graph.node]
    (conv,) = [node for node in found if node.kind == "Conv"]
    assert (conv.name, conv.weight_rank, conv.attributes) == ("without a name", 5, {"pads": [1] * 6})
    assert doubts(tmp_path / "g.onnx") == []


def test_every_kind_is_said_once_with_its_first_node(tmp_path: Path) -> None:
    write_onnx(tmp_path / "g.onnx", group=3)
    model = onnx.load(str(tmp_path / "g.onnx"))
    (conv,) = [node for node in model.graph.node if node.op_type == "Conv"]
    for number in (1, 2):
        other = model.graph.node.add()
        other.CopyFrom(conv)
        other.name = f"Conv_{number}"
        if number == 2:
            other.attribute.add(name="auto_pad", type=onnx.AttributeProto.STRING, s=b"SAME_LOWER")
    onnx.save(model, str(tmp_path / "g.onnx"))
    grouped, padded = doubts(tmp_path / "g.onnx")
    assert grouped.startswith("Conv Conv_0 (and 2 more) is a 5-D convolution in 3 groups")
    assert padded.startswith("Conv Conv_2 is a 5-D convolution with auto_pad SAME_LOWER")


def test_2d_convolutions_and_notset_are_not_doubted(tmp_path: Path) -> None:
    write_onnx(tmp_path / "g.onnx", group=3)
    model = onnx.load(str(tmp_path / "g.onnx"))
    (conv,) = [node for node in model.graph.node if node.op_type == "Conv"]
    conv.attribute.add(name="kernel_shape", type=onnx.AttributeProto.INTS, ints=[3, 3])
    onnx.save(model, str(tmp_path / "g.onnx"))
    assert doubts(tmp_path / "g.onnx") == []
    write_onnx(tmp_path / "g.onnx", auto_pad="NOTSET")
    assert doubts(tmp_path / "g.onnx") == []


def test_every_operator_with_a_narrower_plugin_is_looked_at(tmp_path: Path) -> None:
    write_onnx(tmp_path / "g.onnx", auto_pad="VALID")
    assert doubts(tmp_path / "g.onnx", (8, 0)) == []
    model = onnx.load(str(tmp_path / "g.onnx"))
    pool = onnx.helper.make_node("AveragePool", ["a"], ["b"], name="P", kernel_shape=[2, 2, 2], auto_pad="SAME_UPPER")
    last = onnx.helper.make_node("GlobalAveragePool", ["b"], ["c"], name="G")
    model.graph.node.extend([pool, last])
    onnx.save(model, str(tmp_path / "g.onnx"))
    averaged, pooled = doubts(tmp_path / "g.onnx", (6, 3))
    assert pooled.startswith("AveragePool P is a 5-D pooling with auto_pad SAME_UPPER")
    assert averaged.startswith("GlobalAveragePool GlobalAveragePool_1 (and 1 more) is on a 5-D tensor")
    assert doubts(tmp_path / "g.onnx", (8, 0)) == [pooled]


@pytest.mark.parametrize("content", [b"no graph at all", b"\x3a\xff", b"\x3a\x05\x0a\x7f", b"\x3a", b""])
def test_files_that_are_no_graph_are_left_to_atc(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "g.onnx").write_bytes(content)
    assert doubts(tmp_path / "g.onnx") == []
