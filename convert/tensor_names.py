"""What tensors are called in a frozen TensorFlow graph."""

from __future__ import annotations

from clip2om.pipeline.tensor import TensorSpec


def tensor_name(spec: TensorSpec) -> str:
    """Return ``node:index`` of a tensor; a node alone means its first output."""
    node, colon, index = spec.name.rpartition(":")
    return spec.name if colon and node and index.isdigit() else f"{spec.name}:0"
