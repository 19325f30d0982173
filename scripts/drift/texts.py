"""What the page of the drift by layer says, in English and Chinese."""

from __future__ import annotations

from typing import Dict, Tuple

from clip2om.scripts.pages.texts import Text, add, say

__all__ = ["Text", "say"]

TEXTS: Dict[str, Tuple[str, str]] = {
    "drift": ("Drift by layer", "逐层偏差"),
    "layers": ("Layers", "各层"),
    "depth": ("depth", "深度"),
    "layer": ("layer", "层"),
    "operator": ("operator", "算子"),
    "relative": ("relative error", "相对误差"),
    "largest": ("largest difference", "最大差值"),
    "added": ("added", "新增"),
    "drift_lead": ("{against}, {clips} clips, {layers} layers", "{against}，{clips} 个片段，{layers} 层"),
    "drift_first": (
        "First layer beyond a limit (cosine {cosine}, relative error {relative}): {layer}",
        "首个超出限值的层（余弦 {cosine}，相对误差 {relative}）：{layer}",
    ),
    "drift_within": (
        "Every layer is within the limits (cosine {cosine}, relative error {relative}).",
        "所有层均在限值之内（余弦 {cosine}，相对误差 {relative}）。",
    ),
    "drift_about": (
        "An error travels to every later layer. Added: relative error over that of the layers it reads (1e-5 or more). "
        "The dashed line is the limit.",
        "误差会传到其后的每一层。“新增”为该层相对误差与其输入层相对误差（至少按 1e-5 计）之比。虚线为限值。",
    ),
    "unmatched": ("{count} layers have no counterpart on the other side.", "{count} 层在另一侧没有对应层。"),
}
add(TEXTS)
