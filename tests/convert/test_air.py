"""AIR graphs on an NPU host: ATC takes them as framework 1 from cards whose own graph is ONNX.

An AIR is written on Ascend hosts only, so the file here is bytes, which the simulated ATC compiles unread.
"""

from __future__ import annotations

import shlex

import pytest

from clip2om.pipeline.artifact import sha256_file
from clip2om.pipeline.records import CompiledRecord, read_record
from tests.command import refused, stage
from tests.convert.atc_host import bare, simulated
from tests.convert.conftest import Folders
from tests.convert.graphs import Graph, write_graph


@pytest.mark.parametrize("card", ["resnet3d_mindspore", "r2plus1d_mindspore"])
def test_atc_compiles_it_as_framework_1(folders: Folders, card: str) -> None:
    folders.graph.mkdir()
    file = folders.graph / "model.air"
    file.write_bytes(b"a graph of MindSpore")
    own = {"format": "air", "file": file.name, "sha256": sha256_file(file), "opset": 0, "card": card}
    write_graph(folders.graph, Graph(input="x"), **own)
    given = ["--model", card, "--graph", folders.graph, "--output", folders.output]
    done = stage("convert", *given, "--soc", "Ascend310P3", env=simulated())
    assert done.returncode == 0, done.stderr
    record = read_record(folders.output / "model.json", CompiledRecord, "")
    words = shlex.split(record.atc_command)
    assert {"--model=model.air", "--framework=1", "--input_shape=x:4,3,4,8,8"} <= set(words)
    assert not [word for word in words if word.startswith("--input_format")]
    line = refused(stage("convert", *given, "--soc", "cpu", env=bare()), "is a graph of format 'air', the CPU takes")
    assert "onnx, pb, mindir" in line
