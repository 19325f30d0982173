"""ais_bench, the vendor's benchmark tool, as an engine: every version from November 2022 to December 2025."""

from __future__ import annotations

import math
import os
import re
from pathlib import Path
from typing import Any, Dict, List

from clip2om.infer.engines.ais_bench_help import Dialect, dialect_of, environment, find_python
from clip2om.infer.engines.base import EngineMissingError
from clip2om.infer.engines.tool import Stage, Tool
from clip2om.pipeline.artifact import load_json
from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.facts import versions

_RUN = "run"
# The later generation takes no other characters in absolute paths, and refuses folders with more files.
_REFUSED = re.compile(r"[^_A-Za-z0-9/.-]")
_MOST_FILES = 100_000
_CONSOLE = re.compile(r"NPU_compute_time \(ms\):.*?\bmean = (\d+(?:\.\d+)?)")


class AisBenchEngine(Tool):
    """``python3 -m ais_bench`` over a folder; it measures each execution and writes its own summary.

    Several devices are several processes, each with a folder of its own: given a list of devices, the tool opens
    device 0 besides, leaves processes behind when it is killed, and in some versions cannot share the input.
    """

    name = "ais_bench"
    library = "ais_bench"
    distributions = ("ais_bench",)
    remedy = "pip install the ais_bench and aclruntime wheels of this CANN"
    joins = True
    warms_up = True
    most_files = _MOST_FILES

    @classmethod
    def available(cls) -> bool:
        """True where this Python or the python3 of the PATH has it."""
        return find_python() is not None

    @classmethod
    def version(cls) -> str:
        """Return the version that this Python has, ``unknown`` where another one has it."""
        return versions(cls.distributions).get("ais_bench", "unknown")

    def check(self, root: Path) -> None:
        """Refuse a folder whose path the tool would refuse."""
        odd = sorted(set(_REFUSED.findall(str(root))))
        if self._dialect().strict and odd:
            raise RequestError(
                f"ais_bench takes letters, digits and _ . - / in paths, this one has {' '.join(map(repr, odd))}",
                root,
                "choose another --output",
            )

    def environment(self) -> Dict[str, str]:
        """Return an environment in which the tool can print, whatever the locale."""
        return environment(os.environ)

    def command(self, stage: Stage) -> List[str]:
        """Return the command in the spelling of this installation."""
        dialect = self._dialect()
        given = {
            "model": stage.model,
            "input": stage.inputs,
            "output": stage.results,
            "output_dirname": _RUN,
            "outfmt": "BIN",
            "device": str(stage.device),
            "warmup_count": str(stage.warmup),
        }
        if self.record.gears:
            given["dymBatch"] = str(stage.batch)
        words = [word for option, value in given.items() for word in (dialect.spell(option), value)]
        return [str(find_python()), "-m", "ais_bench", *words]

    def succeeded(self, code: int, console: str) -> bool:
        """Exit code 0 says it."""
        return code == 0

    def result_files(self, stage: Stage, outputs: int) -> List[List[Path]]:
        """Return the files in the run's folder."""
        run = stage.root / stage.results / _RUN
        stems = [stage.stem(index) for index in range(stage.count)]
        return [[run / f"{stem}_{output}.bin" for output in range(outputs)] for stem in stems]

    def compute_ms(self, stage: Stage, console: str) -> Dict[int, List[float]]:
        """Return the times of the summary beside the run's folder, or inside it as early versions put it."""
        times: List[float] = []
        for path in sorted((stage.root / stage.results).rglob("*.json")):
            if path.name.endswith(("summary.json", "sumary.json")):
                times.extend(_times(path, stage.executions))
        if not times:
            means = [float(mean) for mean in _CONSOLE.findall(console)]
            times = means[-1:] * stage.executions
        return {stage.device: times}

    def _dialect(self) -> Dialect:
        python = find_python()
        if python is None:
            raise EngineMissingError("the ais_bench engine is not installed", "--engine ais_bench", self.remedy)
        return dialect_of(python)


def _times(summary: Path, executions: int) -> List[float]:
    """Return the milliseconds in a summary: a list of them, of [start, end] pairs, or mean and count alone.

    One that is damaged tells none.
    """
    try:
        content = load_json(summary, "")
        listed: List[Any] = content.get("npu_compute_time_list") or []
        if not listed:
            block: Dict[str, Any] = content.get("NPU_compute_time") or {}
            listed = [block.get("mean", 0.0)] * min(int(block.get("count", 0)), executions)
        found = [float(entry[1] - entry[0]) if isinstance(entry, (list, tuple)) else float(entry) for entry in listed]
    except (RequestError, ValueError, TypeError, AttributeError, IndexError, KeyError, OverflowError):
        return []
    return found if all(0 <= time < math.inf for time in found) else []
