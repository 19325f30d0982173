"""Compiled .om models, made by the simulated atc, and runs of the infer stage on the simulated NPU."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Dict, List, Optional, Tuple

import numpy as np

from clip2om.pipeline.artifact import sha256_file
from clip2om.pipeline.records import CompiledRecord, write_record
from clip2om.pipeline.tensor import DYNAMIC
from tests.cann_sim import environment
from tests.command import stage
from tests.convert.graphs import CARD, Graph, write_onnx
from tests.infer.cases import Case, clips_of, write_batches

SOC = "Ascend310P3"


def write_om(folder: Path, graph: Graph, batch: int, gears: Tuple[int, ...] = (), **changes: object) -> CompiledRecord:
    """Compile ``graph`` as the convert stage does and write the record, with ``changes`` to it."""
    folder.mkdir(parents=True, exist_ok=True)
    source = folder / "source.onnx"
    write_onnx(graph, source)
    size = DYNAMIC if gears else batch
    shape = ",".join(str(extent) for extent in (size, *graph.item))
    command = [
        *("atc", "--framework=5", f"--model={source}", f"--output={folder / 'model'}", f"--soc_version={SOC}"),
        *("--input_format=ND", f"--input_shape={graph.input}:{shape}", "--log=error"),
    ]
    if gears:
        command.append(f"--dynamic_batch_size={','.join(map(str, gears))}")
    done = subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    source.unlink()
    fields = {
        "format": "om",
        "files": {"model.om": sha256_file(folder / "model.om")},
        "card": CARD,
        "soc": SOC,
        "batch": max(gears, default=batch),
        "precision": "float16",
        "command": "none",
        "tool": "none",
        "graph_sha256": "0" * 64,
        "inputs": [graph.input_spec.with_batch(size)],
        "outputs": [spec.with_batch(size) for spec in graph.output_specs],
        "gears": tuple(gears),
    }
    record = CompiledRecord(**{**fields, **changes})  # type: ignore[arg-type]
    write_record(folder / "model.json", record)
    return record


@dataclass
class Npu:
    """A simulated host: what it is told, and what it has to say afterwards."""

    root: Path
    case: Case
    knobs: Dict[str, object] = field(default_factory=dict)

    def build(
        self,
        graph: Optional[Graph] = None,
        count: int = 18,
        batch: int = 4,
        gears: Tuple[int, ...] = (),
        layout: str = "packed",
        model_batch: int = 0,
    ) -> Npu:
        """Write a model and ``count`` clips."""
        self.case.graph = graph or Graph(batch=DYNAMIC)
        write_om(self.case.compiled, self.case.graph, model_batch or batch, gears)
        self.case.clips = clips_of(count, self.case.graph)
        write_batches(self.case.batches, self.case.graph, self.case.clips, batch, layout)
        return self

    def environment(self) -> Dict[str, str]:
        files = {name: self.root / name for name in ("violations", "warnings", "trace", "concurrency")}
        return environment(**{**files, **self.knobs})  # type: ignore[arg-type]

    def infer(self, *more: object) -> subprocess.CompletedProcess:
        return stage("infer", *self.case.argv(*more), env=self.environment())

    def passes(self, *more: object) -> subprocess.CompletedProcess:
        """Run, and check that it worked, that the scores are right, and that no rule was broken."""
        done = self.infer(*more)
        assert done.returncode == 0, done.stdout + done.stderr
        for index in range(len(self.case.graph.output_specs)):
            assert len(self.case.scores(index)) == len(self.case.clips)
        reference = self.case.graph.reference(self.case.clips)
        # The compiled model holds its weights in float16.
        np.testing.assert_allclose(self.case.scores(), reference, rtol=0, atol=1e-3 * np.abs(reference).max())
        assert self.violations() == []
        return done

    def at_once(self) -> int:
        """Return the most executions that any device had begun and not ended."""
        lines = (self.root / "concurrency").read_text().splitlines()
        return max(int(line.split()[1]) for line in lines)

    def stale_waits(self) -> List[str]:
        """Return the waits that an event's earlier record may have let pass at once."""
        path = self.root / "warnings"
        lines = path.read_text().splitlines() if path.is_file() else []
        return [line for line in lines if "may pass at once" in line]

    def violations(self) -> List[str]:
        path = self.root / "violations"
        return path.read_text().splitlines() if path.is_file() else []
