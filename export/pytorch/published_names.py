"""Names of PySlowFast, pytorchvideo and MIT's TSM, brought to those of mmaction2, which the networks here have.

Seen equal by running library against library; only SlowFast's classifier has its columns in another order, which is the
option ``head_order``.
"""

from __future__ import annotations

import re
from typing import Dict, Sequence, Tuple

from clip2om.export.weights.find import Shapes

Rules = Tuple[Tuple["re.Pattern[str]", str], ...]


def _rules(*pairs: Tuple[str, str]) -> Rules:
    return tuple((re.compile(pattern), new) for pattern, new in pairs)


# pytorchvideo's to PySlowFast's.
_PYTORCHVIDEO = _rules(
    (r"^blocks\.0\.multipathway_blocks\.(\d)\.conv\.", r"s1.pathway\1_stem.conv."),
    (r"^blocks\.0\.multipathway_blocks\.(\d)\.norm\.", r"s1.pathway\1_stem.bn."),
    (r"^blocks\.(\d)\.multipathway_fusion\.conv_fast_to_slow\.", r"s{+1}_fuse.conv_f2s."),
    (r"^blocks\.(\d)\.multipathway_fusion\.norm\.", r"s{+1}_fuse.bn."),
    (r"^blocks\.(\d)\.multipathway_blocks\.(\d)\.res_blocks\.(\d+)\.", r"s{+1}.pathway\2_res\3."),
    (r"^blocks\.(\d)\.res_blocks\.(\d+)\.", r"s{+1}.pathway0_res\2."),
    (r"^blocks\.0\.conv\.", r"s1.pathway0_stem.conv."),
    (r"^blocks\.0\.norm\.", r"s1.pathway0_stem.bn."),
    (r"^blocks\.[56]\.proj\.", r"head.projection."),
)
_BLOCK = _rules(
    (r"\.branch1_conv\.", r".branch1."),
    (r"\.branch1_norm\.", r".branch1_bn."),
    (r"\.branch2\.conv_([abc])\.", r".branch2.\1."),
    (r"\.branch2\.norm_([abc])\.", r".branch2.\1_bn."),
)
_LETTERS = {"a": "1", "b": "2", "c": "3"}
# MIT's: the names of torchvision's ResNet behind base_model.
_MIT = _rules(
    (r"^(?:base_model\.)?conv1\.weight$", "backbone.conv1.conv.weight"),
    (r"^(?:base_model\.)?bn1\.", "backbone.conv1.bn."),
    (r"^(?:base_model\.)?(layer\d\.\d+)\.conv(\d)\.net\.", r"backbone.\1.conv\2.conv.net."),
    (r"^(?:base_model\.)?(layer\d\.\d+)\.conv(\d)\.", r"backbone.\1.conv\2.conv."),
    (r"^(?:base_model\.)?(layer\d\.\d+)\.bn(\d)\.", r"backbone.\1.conv\2.bn."),
    (r"^(?:base_model\.)?(layer\d\.\d+)\.downsample\.0\.", r"backbone.\1.downsample.conv."),
    (r"^(?:base_model\.)?(layer\d\.\d+)\.downsample\.1\.", r"backbone.\1.downsample.bn."),
    (r"^new_fc\.", "cls_head.fc_cls."),
)


def from_pyslowfast(names: Sequence[str], expected: Shapes) -> Dict[str, str]:
    """Rename Slow, I3D and SlowFast of PySlowFast, or of pytorchvideo."""
    plain = {name: _from_pytorchvideo(name) for name in names}
    stem = "s1.pathway0_stem.conv.weight"
    if stem not in plain.values():
        return {}
    paths = {"0": "slow_path.", "1": "fast_path."}
    if not any(".pathway1_" in name for name in plain.values()):
        paths = {"0": ""}
    return {name: _from_pyslowfast(other, paths) for name, other in plain.items()}


def from_mit_tsm(names: Sequence[str], expected: Shapes) -> Dict[str, str]:
    """Rename a TSM, or a TSN, of MIT's repository."""
    if "new_fc.weight" not in names:
        return {}
    return {name: _first(name, _MIT) for name in names}


def _from_pytorchvideo(name: str) -> str:
    for pattern, new in _PYTORCHVIDEO:
        found = pattern.match(name)
        if found:
            first = found[1] if found.groups() else "0"
            name = pattern.sub(new, name).replace("{+1}", str(int(first) + 1))
            break
    for pattern, new in _BLOCK:
        name = pattern.sub(new, name)
    return name


def _from_pyslowfast(name: str, paths: Dict[str, str]) -> str:
    found = re.match(r"s1\.pathway(\d)_stem\.(conv|bn)\.(.*)", name)
    if found:
        return f"backbone.{paths.get(found[1], '')}conv1.{found[2]}.{found[3]}"
    found = re.match(r"s(\d)\.pathway(\d)_res(\d+)\.(.*)", name)
    if found:
        block = f"backbone.{paths.get(found[2], '')}layer{int(found[1]) - 1}.{found[3]}"
        part = found[4]
        inner = re.match(r"branch2\.([abc])(_bn)?\.(.*)", part)
        if inner:
            return f"{block}.conv{_LETTERS[inner[1]]}.{'bn' if inner[2] else 'conv'}.{inner[3]}"
        part = part.replace("branch1_bn.", "downsample.bn.").replace("branch1.", "downsample.conv.")
        return f"{block}.{part}"
    found = re.match(r"s(\d)_fuse\.(conv_f2s|bn)\.(.*)", name)
    if found:
        place = "conv1" if found[1] == "1" else f"layer{int(found[1]) - 1}"
        return f"backbone.slow_path.{place}_lateral.{'bn' if found[2] == 'bn' else 'conv'}.{found[3]}"
    return name.replace("head.projection.", "cls_head.fc_cls.")


def _first(name: str, rules: Rules) -> str:
    for pattern, new in rules:
        renamed = pattern.sub(new, name)
        if renamed != name:
            return renamed
    return name
