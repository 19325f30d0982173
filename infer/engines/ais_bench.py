"""ais_bench, the vendor's benchmark tool, as an engine: both generations of it (June 2023 and December 2025)."""

from __future__ import annotations

import functools
import json
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Sequence

from clip2om.infer.engines.base import EngineMissingError
from clip2om.infer.engines.tool import Stage, Tool
from clip2om.pipeline.command import shell
from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.facts import versions

_RUN = "run"
_TIMEOUT_S = 120
_FIND = "import importlib.util as u, sys; sys.exit(u.find_spec('ais_bench') is None)"
# The later generation takes no other characters in absolute paths.
_REFUSED = re.compile(r"[^_A-Za-z0-9/.-]")
_DEVICE = re.compile(r"device_?(\d+)")
_CONSOLE = re.compile(r"NPU_compute_time \(ms\):.*?\bmean = ([\d.]+)")


@dataclass(frozen=True)
class Dialect:
    """What this installation understands, as its help has it.

    Attributes:
        help: Text of ``--help``.
    """

    help: str

    @property
    def strict(self) -> bool:
        """True for the later generation, which checks paths and permissions."""
        return self.knows("divide_input")

    def knows(self, option: str) -> bool:
        """True where there is an option of that name."""
        return self.spell(option) in self.help

    def spell(self, option: str) -> str:
        """Return ``--option`` with hyphens where the help has it so."""
        hyphens = f"--{option.replace('_', '-')}"
        return hyphens if hyphens in self.help else f"--{option}"


class AisBenchEngine(Tool):
    """``python3 -m ais_bench`` over a folder; it measures each execution and writes its own summary."""

    name = "ais_bench"
    library = "ais_bench"
    distributions = ("ais_bench",)
    remedy = "pip install the ais_bench and aclruntime wheels of this CANN"
    joins = True
    warms_up = True

    @classmethod
    def available(cls) -> bool:
        """True where this Python or the python3 of the PATH has it."""
        return _python() is not None

    @classmethod
    def version(cls) -> str:
        """Return the version that this Python has, ``unknown`` where another one has it."""
        return versions(cls.distributions).get("ais_bench", "unknown")

    def check(self, root: Path) -> None:
        """Refuse a folder whose path the tool would refuse."""
        odd = sorted(set(_REFUSED.findall(str(root))))
        if odd and self._dialect().strict:
            raise RequestError(
                f"ais_bench takes letters, digits and _ . - / in paths, this one has {' '.join(map(repr, odd))}",
                root,
                "choose another --output",
            )

    def command(self, stage: Stage) -> List[str]:
        """Return the command in the spelling of this installation."""
        dialect = self._dialect()
        devices = busy_devices(self.options.devices or (0,), stage.count)
        given = {
            "model": stage.model,
            "input": stage.inputs,
            "output": stage.results,
            "output_dirname": _RUN,
            "outfmt": "BIN",
            "device": ",".join(map(str, devices)),
            "warmup_count": str(stage.warmup),
        }
        if self.record.gears:
            given["dymBatch"] = str(stage.batch)
        if len(devices) > 1 and dialect.knows("divide_input"):
            # The earlier generation always divides.
            given["divide_input"] = "True"
        words = [word for option, value in given.items() for word in (dialect.spell(option), value)]
        return [str(_python()), "-m", "ais_bench", *words]

    def succeeded(self, code: int, console: str) -> bool:
        """Exit code 0 says it, with several devices too."""
        return code == 0

    def result_files(self, stage: Stage, outputs: int) -> List[List[Path]]:
        """Return the files: in the run's folder, or in one of its folders per device."""
        run = stage.root / stage.results / _RUN
        found = {path.name: path for path in sorted(run.rglob("*.bin"))}
        names = [[f"{stage.stem(index)}_{output}.bin" for output in range(outputs)] for index in range(stage.count)]
        return [[found.get(name, run / name) for name in row] for row in names]

    def compute_ms(self, stage: Stage, console: str) -> Dict[int, List[float]]:
        """Return the times of the summaries beside the run's folders, or inside them as early versions put it."""
        devices = self.options.devices or (0,)
        times: Dict[int, List[float]] = {}
        for path in sorted((stage.root / stage.results).rglob("*.json")):
            if path.name.endswith(("summary.json", "sumary.json")):
                named = _DEVICE.search(str(path.relative_to(stage.root)))
                times.setdefault(int(named.group(1)) if named else devices[0], []).extend(_times(path))
        if not any(times.values()):
            means = [float(mean) for mean in _CONSOLE.findall(console)]
            return {devices[0]: means[-1:] * stage.executions}
        return times

    def _dialect(self) -> Dialect:
        python = _python()
        if python is None:
            raise EngineMissingError("the ais_bench engine is not installed", "--engine ais_bench", self.remedy)
        return _dialect(python)


@functools.lru_cache(maxsize=1)
def busy_devices(devices: Sequence[int], files: int) -> Sequence[int]:
    """Return the devices that get any of ``files``: each takes ceil(files / devices), and one without fails."""
    share = -(-files // min(len(devices), files))
    return devices[: -(-files // share)]


def _python() -> Optional[str]:
    """Return the interpreter that has the package: this one, else the python3 of the PATH, else None."""
    if find_spec("ais_bench") is not None:
        return sys.executable
    other = shutil.which("python3")
    if other is None or _run([other, "-c", _FIND]).returncode:
        return None
    return other


@functools.lru_cache(maxsize=1)
def _dialect(python: str) -> Dialect:
    done = _run([python, "-m", "ais_bench", "--help"])
    if done.returncode or "--model" not in done.stdout:
        lines = (done.stderr or done.stdout or "no output").strip().splitlines()
        raise EngineMissingError(
            f"ais_bench cannot be started ({lines[-1]})", python, "install aclruntime, and source set_env.sh of CANN"
        )
    return Dialect(done.stdout)


def _run(command: List[str]) -> "subprocess.CompletedProcess[str]":
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        raise EngineMissingError(
            f"does not answer within {_TIMEOUT_S:.0f} s", shell(command), "run it by hand to see why"
        ) from None


def _times(summary: Path) -> Iterator[float]:
    """Yield the milliseconds in a summary: a list of them, of [start, end] pairs, or mean and count alone."""
    try:
        content = json.loads(summary.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return
    block: Dict[str, Any] = content.get("NPU_compute_time") or {}
    listed: List[Any] = content.get("npu_compute_time_list") or [block.get("mean", 0.0)] * int(block.get("count", 0))
    for entry in listed:
        yield float(entry[1] - entry[0]) if isinstance(entry, (list, tuple)) else float(entry)
