"""The checkpoint of a small C3D, written by TensorFlow's Saver; as export does, TensorFlow is kept quiet."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from clip2om.export.frameworks import FRAMEWORKS

os.environ.update(FRAMEWORKS["tensorflow"].environment)

from tests.export.tensorflow import small


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The prefix of a training checkpoint with formula weights for the small card."""
    prefix = tmp_path_factory.mktemp("checkpoint") / "train.ckpt-39"
    return small.save(prefix, small.weights(small.network()), training=True)
