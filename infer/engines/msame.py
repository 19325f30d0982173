"""msame, the vendor's small C++ runner, as an engine."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Dict, List

from clip2om.infer.engines.tool import Stage, Tool
from clip2om.pipeline.errors import RequestError

_SUCCESS = "Execute sample success"
_TIME = re.compile(r"Inference time: (\d+(?:\.\d+)?(?:[eE][+-]?\d{1,2})?)\s*ms")


class MsameEngine(Tool):
    """``msame`` over a folder: one execution per file, on one device."""

    name = "msame"
    remedy = "build msame and put it on the PATH"
    joins = False
    warms_up = False

    @classmethod
    def available(cls) -> bool:
        """True where it is on the PATH."""
        return shutil.which("msame") is not None

    def check_options(self) -> None:
        """Refuse several devices."""
        super().check_options()
        if len(self.options.devices) > 1:
            raise RequestError(
                "msame runs on one device", "--devices", "name one of them, or use --engine acl or ais_bench"
            )

    def check(self, root: Path) -> None:
        """Accept any folder: the tool is given relative paths."""

    def command(self, stage: Stage) -> List[str]:
        """Return the command."""
        given = {
            "model": stage.model,
            "input": stage.inputs,
            "output": stage.results,
            "outfmt": "BIN",
            "device": str(stage.device),
        }
        if self.record.gears:
            given["dymBatch"] = str(stage.batch)
        words = [word for option, value in given.items() for word in (f"--{option}", value)]
        return [shutil.which("msame") or "msame", *words]

    def succeeded(self, code: int, console: str) -> bool:
        """Look for its success line: wrong options and paths end with exit code 0 too."""
        return code == 0 and _SUCCESS in console

    def result_files(self, stage: Stage, outputs: int) -> List[List[Path]]:
        """Return the files in the folder that it names after the time."""
        made = sorted(path for path in (stage.root / stage.results).iterdir() if path.is_dir())
        folder = made[-1] if made else stage.root / stage.results
        names = [stage.stem(index) for index in range(stage.count)]
        return [[folder / f"{name}_output_{index}.bin" for index in range(outputs)] for name in names]

    def compute_ms(self, stage: Stage, console: str) -> Dict[int, List[float]]:
        """Return the times on its console, one line per execution."""
        return {stage.device: [float(text) for text in _TIME.findall(console)]}
