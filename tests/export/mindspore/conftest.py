"""Checkpoints of the small networks, written by MindSpore."""

from pathlib import Path
from typing import Dict

import pytest

from tests.export.mindspore import small


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Dict[str, Path]:
    """A ``.ckpt`` with formula weights per kind of network."""
    folder = tmp_path_factory.mktemp("checkpoints")
    return {kind: small.save(folder / f"{kind}.ckpt", kind) for kind in small.CARDS}
