"""A demo checkpoint with formula weights: what a training script leaves, without the training."""

from pathlib import Path

import pytest

from clip2om.pipeline import cards


@pytest.fixture(scope="session")
def weights():
    """The state dict of card 3d_resnet_demo."""
    # Imported here: the tests of other frameworks below this folder run where there is no PyTorch.
    from clip2om.export.pytorch.networks import build_network
    from tests.export import golden

    return golden.state_dict(build_network(cards.load("3d_resnet_demo")), "demo")


@pytest.fixture(scope="session")
def checkpoint(weights, tmp_path_factory) -> Path:
    """A file as published training code writes it, from a data-parallel wrapper."""
    import torch

    path = tmp_path_factory.mktemp("checkpoint") / "demo.pth"
    state = {f"module.{name}": value for name, value in weights.items()}
    torch.save({"epoch": 7, "arch": "resnet-10", "state_dict": state, "optimizer": {"state": {}}}, path)
    return path
