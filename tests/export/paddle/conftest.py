"""The checkpoint of a small C3D, written by Paddle."""

from pathlib import Path

import pytest

from tests.export.paddle import small


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ``.pdparams`` file with formula weights for every form of the small card."""
    return small.save(tmp_path_factory.mktemp("checkpoint") / "small.pdparams")
