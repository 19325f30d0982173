"""What is remembered of a run, what is not, and how it is forgotten."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from clip2om import memory
from clip2om.pipeline.errors import RequestError
from clip2om.values import Values


def test_gates_and_what_is_for_one_call_are_not_remembered(tmp_path: Path) -> None:
    given = {"CHECKPOINT": ("a.pth",), "MIN_ACCURACY": ("0.9",), "LOOP": ("3",), "STRICT": ("1",), "MAX_DIFF": ("1",)}
    memory.remember(tmp_path, Values(given))
    assert memory.recall(tmp_path).options == {"CHECKPOINT": ["a.pth"]}


def test_later_values_come_first_and_empty_ones_forget(tmp_path: Path) -> None:
    memory.remember(tmp_path, Values({"CHECKPOINT": ("a.pth",), "LIMIT": ("8",), "SET": ("model.depth=18",)}))
    found, taken = memory.joined(Values({"CHECKPOINT": ("b.pth",), "LIMIT": ()}), memory.recall(tmp_path))
    assert taken == ["SET"]
    assert found.one("CHECKPOINT") == "b.pth"
    assert "LIMIT" not in found
    memory.remember(tmp_path, found)
    assert memory.recall(tmp_path).options == {"CHECKPOINT": ["b.pth"], "SET": ["model.depth=18"]}


def test_a_fixed_batch_and_one_model_for_several_exclude_each_other(tmp_path: Path) -> None:
    memory.remember(tmp_path, Values({"DYNAMIC_BATCH": ("1,4",), "SOC": ("Ascend310P3",)}))
    found, _ = memory.joined(Values({"BATCH": ("10",)}), memory.recall(tmp_path))
    assert "DYNAMIC_BATCH" not in found and found.one("SOC") == "Ascend310P3"


def test_what_was_asked_of_one_device_is_not_asked_of_another(tmp_path: Path) -> None:
    given = {"SOC": ("cpu",), "PRECISION": ("int8",), "ENGINE": ("openvino",), "CHECKPOINT": ("a.pth",)}
    memory.remember(tmp_path, Values(given))
    _, taken = memory.joined(Values({"SOC": ("Ascend310P3",)}), memory.recall(tmp_path))
    assert taken == ["CHECKPOINT"]
    _, taken = memory.joined(Values({"SOC": ("cpu",)}), memory.recall(tmp_path))
    assert taken == ["CHECKPOINT", "ENGINE", "PRECISION"]


def test_a_command_that_only_looks_leaves_the_device_as_it_was(tmp_path: Path) -> None:
    memory.remember(tmp_path, Values({"SOC": ("cpu",), "PRECISION": ("int8",)}))
    given = Values({"SOC": ("Ascend310P3",), "ENGINE": ("acl",), "CHECKPOINT": ("a.pth",)})
    memory.remember(tmp_path, given, looking=True)
    assert memory.recall(tmp_path).options == {"CHECKPOINT": ["a.pth"], "SOC": ["cpu"], "PRECISION": ["int8"]}


def test_the_line_says_where_from_and_how_to_have_it_otherwise(tmp_path: Path) -> None:
    values = Values({"CHECKPOINT": ("a b.pth",), "STRICT": ("1",)}, make=True)
    line = memory.line(values, ["CHECKPOINT"], tmp_path)
    assert "CHECKPOINT='a b.pth'" in line and "run.json" in line and "NAME= forgets" in line
    assert "--checkpoint 'a b.pth'" in memory.line(Values(values.found), ["CHECKPOINT"], tmp_path)


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"kind": "clip2om.run", "version": 1, "options": {"LOOP": ["3"]}, "checkpoint_sha256": ""}']
)
def test_a_file_that_is_not_ours_is_one_line(tmp_path: Path, content: str) -> None:
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(RequestError, match=r"run\.json"):
        memory.recall(tmp_path)


def test_an_unchanged_memory_is_not_written_again(tmp_path: Path) -> None:
    memory.remember(tmp_path, Values({"K": ("5",)}))
    before = (tmp_path / "run.json").stat().st_mtime_ns
    memory.remember(tmp_path, Values({"K": ("5",)}))
    assert (tmp_path / "run.json").stat().st_mtime_ns == before
    assert json.loads((tmp_path / "run.json").read_text())["options"] == {"K": ["5"]}
