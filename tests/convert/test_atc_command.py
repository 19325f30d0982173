"""The command line of ATC against the published ones, and the options behind it.

Origins of the published commands: the READMEs and scripts of 3d_resnets and C3D (Ascend ModelZoo-PyTorch,
ACL_PyTorch/contrib/cv/classfication), of C3D_ID2199 (Ascend ModelZoo-TensorFlow, ACL_TensorFlow/contrib/cv) and of
r2plus1d (mindspore-ai/models, research/cv). Two recipes publish none: resnet3d runs its MindIR without ATC, C3D on
Paddle ran on a GPU; the frameworks are covered by the others.
"""

from __future__ import annotations

import dataclasses
import shlex
import subprocess
from pathlib import Path
from typing import Dict, Optional, Tuple

import pytest

from clip2om.convert.atc_command import atc_command, pasted_command
from clip2om.convert.atc_options import AtcOptions, check_gears, make_options
from clip2om.convert.request import ConvertRequest, atc_request
from clip2om.pipeline import cards
from clip2om.pipeline.card import Atc, Card
from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.records import GraphRecord, Parity
from clip2om.pipeline.tensor import TensorSpec

_CLIP = (3, 16, 112, 112)


def _card(framework: int, input_format: str, mode: str = "force_fp16") -> Card:
    return dataclasses.replace(cards.load("3d_resnet"), atc=Atc(framework, input_format, mode))


def _record(form: str, *inputs: TensorSpec, output: str = "output", file: Optional[str] = None) -> GraphRecord:
    outputs = [TensorSpec(output, "float32", (inputs[0].batch, 51), "NC")]
    parity = Parity("none", 0.0, 1.0, 1.0, 1)
    file = file or f"model.{form}"
    return GraphRecord(form, file, "0", "3d_resnet", "0", "none", "0", 11, list(inputs), outputs, {}, parity)


def _flags(request: ConvertRequest) -> Dict[str, str]:
    program, *arguments = atc_command(request, str(request.graph), "out")
    assert program == "atc"
    assert all(argument.startswith("--") for argument in arguments)
    return dict(argument[2:].split("=", 1) for argument in arguments)


def _published(command: str) -> Dict[str, str]:
    program, *arguments = shlex.split(command)
    assert program == "atc"
    return dict(argument[2:].split("=", 1) for argument in arguments)


def _request(
    card: Card, record: GraphRecord, soc: str, batch: int, gears: Tuple[int, ...] = (), **options: object
) -> ConvertRequest:
    made = make_options(card, record, **options)  # type: ignore[arg-type]
    return atc_request(card, Path(record.file), record, soc, batch, gears, made)


RECIPES = [
    pytest.param(
        "atc --model=3D-ResNets_sim.onnx --framework=5 --output=out --input_format=NCHW "
        '--input_shape="input:10,3,16,112,112" --log=info --soc_version=Ascend310P3',
        _card(5, "NCHW"),
        _record("onnx", TensorSpec("input", "float32", (10, *_CLIP), "NCTHW"), file="3D-ResNets_sim.onnx"),
        {"log": "info"},
        id="3d_resnet",
    ),
    pytest.param(
        "atc --model=c3d.pb --framework=3 --output=out --soc_version=Ascend310 "
        '--input_shape="batch_clips:60,16,112,112,3;batch_labels:60,101" --log=error --out_nodes="output:0"',
        _card(3, ""),
        _record(
            "pb",
            TensorSpec("batch_clips", "float32", (60, 16, 112, 112, 3), "NTHWC"),
            TensorSpec("batch_labels", "int32", (60, 101), "NC"),
            file="c3d.pb",
        ),
        {},
        id="c3d_tf",
    ),
    pytest.param(
        "atc --framework=5 --model=C3D.onnx --output=out --input_format=ND "
        '--input_shape="image:16,10,3,16,112,112" --log=error --soc_version=Ascend310P3',
        _card(5, "ND"),
        _record("onnx", TensorSpec("image", "float32", (-1, 10, *_CLIP), "NMCTHW"), output="class", file="C3D.onnx"),
        {},
        id="c3d_mmaction",
    ),
    pytest.param(
        'atc --model=r2plus1d.air --output=out --soc_version=Ascend310 --input_shape="x:1,3,16,112,112" --framework=1',
        _card(1, ""),
        _record("air", TensorSpec("x", "float32", (1, *_CLIP), "NCTHW"), file="r2plus1d.air"),
        {},
        id="r2plus1d_mindspore",
    ),
]


@pytest.mark.parametrize(("published", "card", "record", "options"), RECIPES)
def test_command_has_every_argument_of_the_published_one(
    published: str, card: Card, record: GraphRecord, options: dict
) -> None:
    expected = _published(published)
    batch = int(expected["input_shape"].split(":")[1].split(",")[0])
    flags = _flags(_request(card, record, expected["soc_version"], batch, **options))
    added = {name: value for name, value in flags.items() if name not in expected}
    assert {name: flags.get(name) for name in expected} == expected
    # What is said out loud here and left to ATC's defaults there; the same values.
    assert added in ({"precision_mode": "force_fp16"}, {"precision_mode": "force_fp16", "log": "error"})


ONNX = _record("onnx", TensorSpec("input", "float32", (-1, *_CLIP), "NCTHW"))


def test_card_of_the_project() -> None:
    flags = _flags(_request(cards.load("3d_resnet"), ONNX, "Ascend310P3", 10))
    assert flags["framework"] == "5"
    assert flags["input_format"] == "NCDHW"
    assert flags["input_shape"] == "input:10,3,16,112,112"
    assert not flags["output"].endswith(".om")


def test_gears_leave_the_batch_open() -> None:
    request = _request(cards.load("3d_resnet"), ONNX, "Ascend310P3", 0, check_gears([8, 1, 4]))
    flags = _flags(request)
    assert flags["input_shape"] == "input:-1,3,16,112,112"
    assert flags["dynamic_batch_size"] == "1,4,8"
    assert request.batch == 8
    assert request.inputs[0].batch == request.outputs[0].batch == -1


def test_options_reach_the_command_and_free_arguments_come_last() -> None:
    extra = ["--log=debug", "--fusion_switch_file=/a b/fusion.cfg", "--log=info"]
    request = _request(
        cards.load("3d_resnet"),
        ONNX,
        "Ascend310P3",
        1,
        precision_mode="allow_mix_precision",
        op_select_implmode="high_precision",
        out_nodes="output",
        extra=extra,
    )
    command = atc_command(request, "g", "o")
    assert command[-3:] == extra
    for argument in (
        "--precision_mode=allow_mix_precision",
        "--op_select_implmode=high_precision",
        "--out_nodes=output",
    ):
        assert argument in command
    assert request.atc is not None and request.atc.precision == "mixed float16"


def test_newer_precision_option_takes_the_place_of_the_older() -> None:
    request = _request(cards.load("3d_resnet"), ONNX, "Ascend310P3", 1, extra=["--precision-mode-v2=origin"])
    assert not [argument for argument in atc_command(request, "g", "o") if argument.startswith("--precision_mode=")]
    assert request.atc is not None and request.atc.precision == "float32"


def test_out_nodes_order_the_outputs() -> None:
    record = dataclasses.replace(
        ONNX,
        outputs=[TensorSpec("logits", "float32", (-1, 51), "NC"), TensorSpec("features", "float32", (-1, 9), "NC")],
    )
    request = _request(cards.load("3d_resnet"), record, "Ascend310P3", 2, out_nodes="features;logits:0")
    assert [str(spec) for spec in request.outputs] == ["features float32 2x9 NC", "logits float32 2x51 NC"]


@pytest.mark.parametrize(
    "folder", ["plain", "with space", 'quote\'d "and" $HOME', "semi;colon & co", "naïve-视频", "new\nline"]
)
def test_pasted_command_survives_the_shell(folder: str, tmp_path: Path) -> None:
    graph, output = tmp_path / folder / "graph" / "model.onnx", tmp_path / folder / "compiled"
    record = _record("onnx", TensorSpec("in:put;x y", "float32", (2, *_CLIP), "NCTHW"))
    options = make_options(cards.load("3d_resnet"), record, extra=["--debug_dir=$(touch gone)"])
    request = dataclasses.replace(ConvertRequest(graph, record, "Ascend310P3", 2), atc=options)
    script = "\n".join(pasted_command(request, output))
    assert subprocess.run(["sh", "-n"], input=script, text=True).returncode == 0
    expected = atc_command(request, str(graph), str(output / "model"))
    assert shlex.split(pasted_command(request, output)[-1]) == expected
    done = subprocess.run(
        ["sh"],
        input=f"atc() {{ printf '%s\\0' atc \"$@\"; }}\n{script}\n",
        text=True,
        capture_output=True,
        cwd=tmp_path,
    )
    assert done.stdout.split("\0")[:-1] == expected
    assert output.is_dir()
    assert len(pasted_command(request, output)) == 1


def _refused(**changes: object) -> str:
    fields: dict = {"card": cards.load("3d_resnet"), "record": ONNX, "soc": "Ascend310P3", "batch": 1, **changes}
    with pytest.raises(RequestError) as caught:
        _request(**fields)
    return str(caught.value)


def test_card_without_atc() -> None:
    card = dataclasses.replace(cards.load("3d_resnet"), atc=None)
    assert "no section [atc]" in _refused(card=card)


def test_graph_that_atc_does_not_read() -> None:
    line = _refused(record=dataclasses.replace(ONNX, format="mindir", file="model.mindir"))
    assert "'mindir'" in line and "onnx, pb, air" in line


def test_card_for_another_framework() -> None:
    line = _refused(card=_card(3, "NDHWC"))
    assert "atc.framework is 3" in line and "framework 5" in line and "--set atc.framework=5" in line


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"card": _card(5, "NHWC")}, ["'NHWC'", "atc.input_format", "did you mean NCHW?"]),
        ({"card": _card(5, "NCDHW", "fp32")}, ["'fp32'", "atc.precision_mode"]),
        ({"precision_mode": "force_fp61"}, ["--precision-mode", "did you mean force_fp16?"]),
        ({"extra": ["--precision_mode_v2=fp61"]}, ["precision_mode_v2", "fp16"]),
        ({"extra": ["--precision_mode_v2=fp16"], "precision_mode": "force_fp16"}, ["E10056", "drop one"]),
        ({"extra": ["jit_compile=0"]}, ["'jit_compile=0'", "--atc-arg=--jit_compile=0"]),
        ({"extra": ["--jit_compile"]}, ["is not --name=value"]),
        ({"extra": ["--output=x"]}, ["--output", "use --output"]),
        ({"extra": ["--dynamic-batch-size=1,2"]}, ["dynamic_batch_size", "use --dynamic-batch"]),
        ({"extra": ["--input_fp16_nodes=input"]}, ["input_fp16_nodes", "record"]),
        ({"out_nodes": "logits"}, ["'logits'", "--out-nodes", "it has: output"]),
    ],
)
def test_values_that_cannot_work(changes: dict, words: list) -> None:
    line = _refused(**changes)
    assert all(word in line for word in words), line


@pytest.mark.parametrize("layout", ["NCDHW", "ND"])
def test_layout_that_atc_does_not_take_for_air(layout: str) -> None:
    clips = TensorSpec("x", "float32", (1, *_CLIP), "NCTHW")
    line = _refused(card=_card(1, layout), record=_record("air", clips))
    assert (
        f"atc.input_format: is {layout!r}" in line and "NCHW only" in line and line.endswith("--set atc.input_format=")
    )
    assert "input_format" not in _flags(_request(_card(1, ""), _record("air", clips), "Ascend310P3", 1))


@pytest.mark.parametrize("name", ["resnet3d_mindspore", "r2plus1d_mindspore"])
def test_air_of_a_card_whose_own_graph_is_onnx(name: str) -> None:
    card, clips = cards.load(name), TensorSpec("x", "float32", (10, *_CLIP), "NCTHW")
    onnx = _flags(_request(card, _record("onnx", clips), "Ascend310P3", 10))
    assert (onnx["framework"], onnx["input_format"]) == ("5", "NCDHW")
    air = _flags(_request(card, _record("air", clips), "Ascend310P3", 10))
    assert air["framework"] == "1" and "input_format" not in air
    assert air["input_shape"] == onnx["input_shape"] == "x:10,3,16,112,112"


def test_outputs_of_a_frozen_graph_are_named_by_node_and_index() -> None:
    record = dataclasses.replace(
        _record("pb", TensorSpec("batch_clips", "float32", (-1, 16, 112, 112, 3), "NTHWC"), output="C3D/out/BiasAdd"),
        outputs=[TensorSpec("C3D/out/BiasAdd", "float32", (-1, 101), "NC"), TensorSpec("output", "float32", (), "")],
    )
    request = _request(_card(3, "NDHWC"), record, "Ascend310P3", 4)
    assert _flags(request)["out_nodes"] == "C3D/out/BiasAdd:0;output:0"
    assert [spec.shape for spec in request.outputs] == [(4, 101), ()]
    only = _request(_card(3, "NDHWC"), record, "Ascend310P3", 4, out_nodes="output:0")
    assert [spec.name for spec in only.outputs] == ["output"]


def test_relative_file_in_a_free_argument(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("fusion.cfg").touch()
    assert "relative path" in _refused(extra=["--fusion_switch_file=fusion.cfg"])
    options = make_options(cards.load("3d_resnet"), ONNX, extra=[f"--fusion_switch_file={tmp_path}/fusion.cfg"])
    assert isinstance(options, AtcOptions)


def test_fixed_batch() -> None:
    fixed = _record("onnx", TensorSpec("input", "float32", (4, *_CLIP), "NCTHW"))
    line = _refused(record=fixed, batch=3)
    assert "fixed batch 4" in line and "asked for was 3" in line and "--dynamic-batch" in line
    line = _refused(record=fixed, gears=(1, 2))
    assert "export with --dynamic-batch" in line


@pytest.mark.parametrize("count", [1, 101])
def test_number_of_gears(count: int) -> None:
    with pytest.raises(RequestError, match=f"{count} batch sizes, ATC takes 2 to 100"):
        check_gears(range(1, count + 1))
