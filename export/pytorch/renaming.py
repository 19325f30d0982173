"""Parameter names of older releases and of other libraries, brought to those of the networks here."""

from __future__ import annotations

import re
from typing import Dict, Sequence, Tuple

from clip2om.export.pytorch.published_names import from_mit_tsm, from_pyslowfast
from clip2om.export.weights.find import Renaming, Shapes, sequential_head

_STEM = re.compile(r"^features\.(conv|norm)0\.")
_LAYER = re.compile(r"^(features\.denseblock\d+\.denselayer\d+\.(?:norm|conv))\.([12])\.")
# torchvision.models.video: a stem and blocks of Sequentials. Of r2plus1d_18 a convolution is a Sequential itself.
_TORCHVISION: Tuple[Tuple["re.Pattern[str]", str], ...] = (
    (re.compile(r"^stem\.0\."), "conv1."),
    (re.compile(r"^stem\.1\."), "bn1."),
    (re.compile(r"^stem\.3\."), "conv2."),
    (re.compile(r"^stem\.4\."), "bn2."),
    (re.compile(r"^(layer\d\.\d+\.conv\d)\.0\.0\."), r"\1.conv1."),
    (re.compile(r"^(layer\d\.\d+\.conv\d)\.0\.1\."), r"\1.bn1."),
    (re.compile(r"^(layer\d\.\d+\.conv\d)\.0\.3\."), r"\1.conv2."),
    (re.compile(r"^(layer\d\.\d+\.conv\d)\.0\."), r"\1."),
    (re.compile(r"^(layer\d\.\d+)\.conv(\d)\.1\."), r"\1.bn\2."),
)


def from_2018_densenet(names: Sequence[str], expected: Shapes) -> Dict[str, str]:
    """Rename a DenseNet of the 3D-ResNets of 2017 and 2018 as the 2020 release does.

    They counted the stem from 0 (``features.conv0``, ``features.norm0``) and put a dot into the names of a dense layer
    (``norm.1``, ``conv.2``). Tensors and their order are the same.
    """
    return {name: _LAYER.sub(r"\1\2.", _STEM.sub(r"features.\g<1>1.", name)) for name in names}


def from_torchvision(names: Sequence[str], expected: Shapes) -> Dict[str, str]:
    """Rename r3d_18, mc3_18 and r2plus1d_18 of torchvision: networks that are here under other names."""
    if "stem.0.weight" not in names:
        return {}
    return {name: _sub(name) for name in names}


def _sub(name: str) -> str:
    for pattern, new in _TORCHVISION:
        renamed = pattern.sub(new, name)
        if renamed != name:
            return renamed
    return name


def _torchvision_head(names: Sequence[str], expected: Shapes) -> Dict[str, str]:
    """Rename a network of torchvision whose classifier was replaced by a Sequential."""
    renamed = from_torchvision(names, expected)
    again = sequential_head(list(renamed.values()), expected) if renamed else {}
    return {name: again.get(new, new) for name, new in renamed.items()}


RENAMINGS: Tuple[Renaming, ...] = (
    from_2018_densenet,
    from_torchvision,
    from_pyslowfast,
    from_mit_tsm,
    sequential_head,
    _torchvision_head,
)
