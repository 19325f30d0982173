"""Which files a checkpoint is; the rest of TensorFlow's is tested where TensorFlow is, on what it wrote."""

from pathlib import Path

import pytest

from clip2om.export.checkpoint_files import one_file, tensorflow_files
from clip2om.export.request import find_checkpoint
from clip2om.pipeline import cards
from clip2om.pipeline.artifact import sha256_file
from clip2om.pipeline.errors import RequestError


def refused(given: Path, model: str = "3d_resnet_demo") -> str:
    with pytest.raises(RequestError) as caught:
        find_checkpoint(cards.load(model), given)
    return caught.value.line()


def test_one_file_is_its_own_digest(tmp_path):
    (tmp_path / "a.pth").write_bytes(b"weights")
    assert one_file(tmp_path / "a.pth").digest() == sha256_file(tmp_path / "a.pth")
    assert find_checkpoint(cards.load("3d_resnet_demo"), tmp_path / "a.pth").path == tmp_path / "a.pth"


def test_what_is_not_there(tmp_path):
    (tmp_path / "save_700.pth").touch()
    for name in ("save_700", "save_70", "nowhere/save"):
        assert "no such checkpoint; check the path" in refused(tmp_path / name)
        assert "no such checkpoint; check the path" in refused(tmp_path / name, "c3d_tf")
    assert "is not a file, expected a checkpoint" in refused(tmp_path)


def test_half_a_checkpoint_by_the_name_of_the_other_half(tmp_path):
    (tmp_path / "a.data-00000-of-00001").touch()
    for name in ("a", "a.index", "a.data-00000-of-00001", "a.meta"):
        assert "a.index missing, only a.data-00000-of-00001 there" in refused(tmp_path / name, "c3d_tf")


def test_prefix_of_tensorflow_for_a_card_of_pytorch(tmp_path):
    (tmp_path / "train.ckpt-39.index").touch()
    line = refused(tmp_path / "train.ckpt-39")
    assert "is a checkpoint of TensorFlow, the card's is of another framework; check --checkpoint and --model" in line


def test_names_with_characters_of_patterns(tmp_path):
    prefix = tmp_path / "a[1]*?.ckpt"
    for suffix in (".index", ".data-00000-of-00001"):
        prefix.with_name(prefix.name + suffix).touch()
    (tmp_path / "a1xx.ckpt.data-00000-of-00001").touch()
    assert [path.name for path in tensorflow_files(prefix).files] == [
        "a[1]*?.ckpt.index",
        "a[1]*?.ckpt.data-00000-of-00001",
    ]
