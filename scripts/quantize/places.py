"""The folders of a comparison of float32 with int8."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

_CANDIDATE = ".candidate"


@dataclass(frozen=True)
class Places:
    """Folders: of the graph, the clips to calibrate with and to judge by, and of models and scores of both kinds."""

    graph: Path
    calibration: Path
    batches: Path
    float32: Path
    float32_scores: Path
    int8: Path
    int8_scores: Path

    @property
    def candidate(self) -> Path:
        """Where a new int8 model waits for the verdict."""
        return self.int8 / _CANDIDATE
