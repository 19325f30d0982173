"""How MindSpore is set up for exporting, and what it found on this host."""

from __future__ import annotations

import mindspore


def prepare() -> None:
    """Choose graph mode, in which export compiles anyway; single operators do not work with every NumPy."""
    mindspore.set_context(mode=mindspore.GRAPH_MODE)


def has_ascend() -> bool:
    """Return whether MindSpore found an Ascend backend when it was imported."""
    return bool(mindspore.device_context.ascend.is_available())
