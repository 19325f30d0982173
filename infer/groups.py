"""Which batch files make up one execution of the model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import List, Tuple

from clip2om.pipeline.artifact import digest_of
from clip2om.pipeline.manifest import BatchFile, Manifest
from clip2om.pipeline.tensor import DYNAMIC, TensorSpec


@dataclass(frozen=True)
class Group:
    """The batch files of one execution: one, unless they hold one item each; ``slots`` counts clips, padding too."""

    files: Tuple[BatchFile, ...]
    slots: int

    @property
    def clips(self) -> int:
        """Slots that hold a clip."""
        return sum(file.clips for file in self.files)

    @property
    def key(self) -> str:
        """Digest of names and contents: results are kept as long as it is the same."""
        return digest_of([[file.name, file.sha256] for file in self.files])


def feed_spec(manifest: Manifest, model: TensorSpec) -> TensorSpec:
    """Return what one execution is fed.

    That is the tensor of one file, except for the files of layout ``per-clip``, which hold one item (a clip, or the K
    clips of one video): like ais_bench, as many of these are joined as the model takes, so that such a folder runs on a
    model of any batch size.
    """
    tensor = manifest.tensor
    joined = manifest.layout == "per-clip" and model.batch != DYNAMIC
    return tensor.with_batch(tensor.batch * model.batch) if joined else tensor


def make_groups(manifest: Manifest, size: int) -> List[Group]:
    """Return the executions over all files, ``size`` files each; the last one may have fewer."""
    files, slots = manifest.files, size * manifest.tensor.clips
    return [Group(tuple(files[start : start + size]), slots) for start in range(0, len(files), size)]
