"""The scores folder: one file per batch file and output, under the name ais_bench gives it."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Iterable, List, Set

import numpy as np

from clip2om.infer.groups import Group
from clip2om.infer.journal import Entry, Progress
from clip2om.pipeline.artifact import replacing, sha256_file
from clip2om.pipeline.manifest import BatchFile
from clip2om.pipeline.records import ScoreFile, Summary

SUMMARY = "summary.json"
FORMATS = ("bin", "npy", "txt")
_ENDINGS = tuple(f".{form}" for form in FORMATS)


@dataclass(frozen=True)
class ScoreFolder:
    """Writes and checks result files.

    Attributes:
        path: The folder.
        outputs: Number of outputs of the model.
        clips: Clip slots of one batch file.
        format: One of :data:`FORMATS`; see :func:`encode`.
    """

    path: Path
    outputs: int
    clips: int
    format: str = "bin"

    def names(self, group: Group) -> List[str]:
        """Return the result files of an execution: ``batch_00000.bin`` and output 1 give ``batch_00000_1.bin``."""
        return [self._name(file.name, index) for file in group.files for index in range(self.outputs)]

    def write(self, group: Group, outputs: List[np.ndarray]) -> Entry:
        """Write the outputs of an execution, each file whole or not at all.

        Args:
            group: The batch files that were fed.
            outputs: Arrays with the batch axis first; where several files were joined, each gets its own rows.
        """
        parts = group.slots // self.clips
        split = [np.split(output, parts) if parts > 1 else [output] for output in outputs]
        files = []
        for position, file in enumerate(group.files):
            for index, rows in enumerate(split):
                files.append(self._put(file, index, rows[position]))
        return Entry(group.key, files)

    def adopt(self, group: Group, results: List[List[np.ndarray]]) -> Entry:
        """Write what a tool has computed.

        Args:
            group: The batch files that were fed.
            results: Per file of the group, each output.
        """
        pairs = zip(group.files, results)
        return Entry(group.key, [self._put(file, i, array) for file, found in pairs for i, array in enumerate(found)])

    def _put(self, source: BatchFile, index: int, array: np.ndarray) -> ScoreFile:
        name, data = self._name(source.name, index), encode(array, self.format)
        with replacing(self.path / name) as temporary:
            temporary.write_bytes(data)
        return ScoreFile(name, source.name, index, hashlib.sha256(data).hexdigest())

    def holds(self, files: Iterable[ScoreFile]) -> bool:
        """True where every file is there and has the recorded digest."""
        return all(
            (self.path / file.name).is_file() and sha256_file(self.path / file.name) == file.sha256 for file in files
        )

    def still_whole(self, groups: List[Group], progress: Progress) -> List[Entry]:
        """Return the entries of an earlier run that belong to ``groups`` and whose files are as they were written."""
        entries = ((group, progress.entries.get(group.key)) for group in groups)
        return [
            entry
            for group, entry in entries
            if entry and [file.name for file in entry.files] == self.names(group) and self.holds(entry.files)
        ]

    def withdraw(self, owned: Set[str]) -> None:
        """Delete the summary, then result files that earlier runs wrote: names from records, and so plain ones."""
        (self.path / SUMMARY).unlink(missing_ok=True)
        for name in owned:
            if name.endswith(_ENDINGS):
                (self.path / name).unlink(missing_ok=True)

    def is_current(self, wanted: Summary, former: Summary) -> bool:
        """True where ``former`` describes the run that ``wanted`` asks for, and all its files are there."""
        keys = ("engine", "engine_version", "precision", "card", "soc", "model_sha256", "manifest_sha256")
        same = all(getattr(wanted, key) == getattr(former, key) for key in keys)
        written = all(file.name.endswith(f".{self.format}") for file in former.files)
        return same and written and self.holds(former.files)

    def _name(self, source: str, index: int) -> str:
        return f"{Path(source).stem}_{index}.{self.format}"


def encode(array: np.ndarray, form: str) -> bytes:
    """Return an output as the contents of a file.

    ``bin`` is raw values, C order; ``npy`` NumPy's format; ``txt`` a line per row of the last axis, its numbers with a
    blank after each as ais_bench has it, but with nine digits, which give float32 back exactly.
    """
    if form == "npy":
        stream = io.BytesIO()
        np.save(stream, np.ascontiguousarray(array), allow_pickle=False)
        return stream.getvalue()
    if form == "txt":
        rows = array.reshape(-1, array.shape[-1]).tolist()
        return "".join("".join(f"{value:.9g} " for value in row) + "\n" for row in rows).encode("ascii")
    return np.ascontiguousarray(array).tobytes()
