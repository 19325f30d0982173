"""The mean volume of a card."""

import numpy as np
import pytest

from clip2om.pipeline import cards
from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.mean_volume import mean_volume_of, read_mean_volume


def test_card_names_its_file_or_none(tmp_path):
    assert mean_volume_of(cards.load("3d_resnet")) is None
    path = tmp_path / "mean.npy"
    volume = np.arange(16 * 112 * 112 * 3, dtype=np.float32).reshape(16, 112, 112, 3)
    np.save(path, volume)
    assert np.array_equal(mean_volume_of(cards.load("3d_resnet", [f"transform.mean_volume={path}"])), volume)


def refused(path):
    with pytest.raises(RequestError) as caught:
        read_mean_volume(path, 2, 4)
    assert str(path) in caught.value.line()
    return caught.value.line()


def test_files_that_are_no_mean_volume(tmp_path):
    path = tmp_path / "mean.npy"
    assert "transform.mean_volume: no such file; --set transform.mean_volume=FILE.npy" in refused(path)
    path.write_bytes(b"nothing")
    assert "cannot be read" in refused(path)
    np.save(path, np.array([{}], dtype=object), allow_pickle=True)
    assert "cannot be read" in refused(path)
    np.save(path, np.zeros((3, 2, 4, 4), np.float32))
    assert "holds float32 (3, 2, 4, 4), expected float32 (2, 4, 4, 3)" in refused(path)
    np.savez(tmp_path / "mean.npz", np.zeros(1))
    assert "cannot be read (the magic string is not correct" in refused(tmp_path / "mean.npz")
