"""Writing val.json, accuracy.json and scores.npz; a file whose bytes would be the same is not touched."""

from __future__ import annotations

import json
from pathlib import Path
from typing import List

import numpy as np

from clip2om.pipeline.artifact import clean_folder, json_text, write_if_changed
from clip2om.pipeline.typed import to_dict
from clip2om.postprocess import archive
from clip2om.postprocess.accuracy import VERSION, Accuracy, Outcome
from clip2om.postprocess.metrics import best

VAL, ACCURACY, SCORES = "val.json", "accuracy.json", "scores.npz"


def val_text(ids: List[str], labels: List[str], means: np.ndarray, k: int, ties: str = "first") -> str:
    """Return val.json as the 3d_resnet recipe writes it: per video its ``k`` best labels with float32 scores.

    A score that is no number, as ``naive-softmax`` makes them, becomes null.
    """
    columns = best(means, k, ties)
    found = np.take_along_axis(means, columns, axis=1)
    values = [[None if score != score else score for score in row] for row in found.tolist()]
    results = {
        name: [{"label": labels[column], "score": score} for column, score in zip(row, row_values)]
        for name, row, row_values in zip(ids, columns.tolist(), values)
    }
    return json.dumps({"results": results})


def accuracy_text(accuracy: Accuracy) -> str:
    """Return accuracy.json."""
    return json_text("accuracy", VERSION, to_dict(accuracy))


def write(outcome: Outcome, folder: Path, with_scores: bool) -> List[str]:
    """Write the results and return the names of the files that changed.

    Args:
        outcome: What was counted.
        folder: Where the files go.
        with_scores: Write scores.npz too; not so when the scores were read from one.
    """
    scores, accuracy = outcome.scores, outcome.accuracy
    files = {SCORES: archive.to_bytes(scores)} if with_scores else {}
    files[VAL] = val_text(scores.ids, scores.labels, outcome.means, accuracy.rules.k, accuracy.rules.ties).encode(
        "ascii"
    )
    files[ACCURACY] = accuracy_text(accuracy).encode("utf-8")
    with clean_folder(folder):
        return [name for name, data in files.items() if write_if_changed(folder / name, data)]
