"""A small dataset, a tiny model for it, and both ways to its results: stage by stage, and as a stream."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Optional

from tests.command import ROOT, stage
from tests.convert.graphs import CLASSES, Graph
from tests.infer.cases import write_model
from tests.preprocess.conftest import SmallSet

LABELS = ["walk", "run", *(f"other {number}" for number in range(CLASSES - 2))]
SHAPE = (3, 8, 16, 16)
RESULTS = ("val.json", "accuracy.json", "scores.npz")


class LabelledSet(SmallSet):
    """A small set with as many labels as the tiny graph has classes."""

    def annotate(self) -> None:
        self.annotation.write_text(json.dumps({"labels": LABELS, "database": self.database}))


@dataclass
class StreamCase:
    """Folders and options; ``more`` are further options of the card."""

    root: Path
    videos: int = 6
    graph: Graph = field(default_factory=lambda: Graph(4, "uint8", SHAPE))
    form: str = "openvino"
    more: List[str] = field(default_factory=list)
    env: Optional[Dict[str, str]] = None

    def __post_init__(self) -> None:
        self.data = LabelledSet(self.root, self.videos)
        self.compiled = self.root / "compiled"
        self.streamed = self.root / "stream"
        self.staged = self.root / "staged"
        if self.form == "om":
            from tests.infer.npu import write_om

            write_om(self.compiled, self.graph, self.graph.batch)
        else:
            write_model(self.compiled, self.graph, self.form)

    @property
    def card(self) -> list:
        words = [*SmallSet.card, "--set", "dataset.labels=''", "--set", f"model.classes={CLASSES}"]
        return ["--model", "3d_resnet", *words, *self.more]

    @property
    def paths(self) -> list:
        return ["--video-path", self.data.frames, "--annotation-path", self.data.annotation]

    def arguments(self, *more: object) -> list:
        given = ["--compiled", self.compiled, "--output", self.streamed, "--workers", 2]
        return [str(word) for word in (*self.card, *self.paths, *given, *more)]

    def stream(self, *more: object, **options: Any) -> subprocess.CompletedProcess:
        return stage("scripts.stream", *self.arguments(*more), **{"env": self.env, **options})

    def start(self, *more: object) -> subprocess.Popen:
        """Start a stream in a process group of its own."""
        command = [sys.executable, "-m", "scripts.stream", *self.arguments(*more)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen(command, cwd=ROOT, env=self.env, start_new_session=True, **pipes)  # type: ignore

    def run_stages(self, *engine: object) -> None:
        """Leave the results of the stages, one after the other, in ``staged``."""
        batches, scores = self.staged / "batches", self.staged / "scores"
        clips = ["--batch", self.graph.batch, "--dtype", self.graph.dtype, "--output", batches]
        model = ["--compiled", self.compiled, "--batches", batches, "--output", scores]
        results = ["--batches", batches, "--scores", scores, "--output", self.staged / "results"]
        for name, words in (
            ("preprocess", [*self.card, *self.paths, *clips]),
            ("infer", [*self.card, *model, *engine]),
            ("postprocess", [*self.card, *results]),
        ):
            done = stage(name, *words, env=self.env)
            assert done.returncode == 0, done.stderr

    def check_same(self) -> None:
        """Check that stream and stages left the same bytes."""
        names = [f"results/{name}" for name in RESULTS] + ["batches/manifest.json", "batches/hmdb51.info"]
        names += [f"scores/{path.name}" for path in (self.staged / "scores").glob("*.bin")]
        assert len(names) > 5
        different = [name for name in names if (self.streamed / name).read_bytes() != (self.staged / name).read_bytes()]
        assert different == []

    def files(self) -> List[str]:
        """Return the names of all files below the stream's folder."""
        return sorted(os.path.relpath(path, self.streamed) for path in self.streamed.rglob("*") if path.is_file())


def members(group: int) -> List[int]:
    """Return the processes of a group that still run, without its leader."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has just ended
        if int(fields[2]) == group and fields[0] != "Z" and int(stat.parent.name) != group:
            found.append(int(stat.parent.name))
    return found
