"""Parameter names of older releases, brought to those of the networks here."""

from __future__ import annotations

import re
from typing import Dict

from torch import Tensor

_STEM = re.compile(r"^features\.(conv|norm)0\.")
_LAYER = re.compile(r"^(features\.denseblock\d+\.denselayer\d+\.(?:norm|conv))\.([12])\.")


def from_2018_densenet(state: Dict[str, Tensor]) -> Dict[str, Tensor]:
    """Return a state dict whose DenseNet names are those of the 2020 release; other names stay as they are.

    The 3D-ResNets of 2017 and 2018 counted the stem from 0 (``features.conv0``, ``features.norm0``) and put a dot into
    the names of a dense layer (``norm.1``, ``conv.2``). Tensors and their order are the same.
    """
    return {_LAYER.sub(r"\1\2.", _STEM.sub(r"features.\g<1>1.", name)): value for name, value in state.items()}
