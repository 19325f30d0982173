"""What is common to the engines that are programs of their own: folders in, folders out."""

from __future__ import annotations

import abc
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Dict, List, NoReturn, Optional, Tuple

from clip2om.infer.engines.base import Backend
from clip2om.infer.engines.om import check_om_options, device_name
from clip2om.pipeline.errors import RequestError


@dataclass(frozen=True)
class Stage:
    """A folder that holds what a tool is given; the tool runs in it, and paths are relative to it.

    Attributes:
        root: The folder.
        model: The .om.
        inputs: Folder with nothing but the batch files, named so that every order is the same: ``000000.bin`` ...
        results: Empty folder for what the tool writes.
        count: Number of batch files.
        executions: Number of executions that they make.
        batch: Clips of one execution.
        warmup: Executions before the measured ones.
        device: Number of the device.
    """

    root: Path
    model: str
    inputs: str
    results: str
    count: int
    executions: int
    batch: int
    warmup: int
    device: int = 0

    @staticmethod
    def stem(index: int) -> str:
        """Return the name of batch file ``index`` without its suffix: no dot in it, as tools cut names at dots."""
        return f"{index:06d}"


class Tool(Backend):
    """A program that runs an .om over a folder.

    Attributes:
        joins: Single-clip files are joined into batches by the tool itself.
        warms_up: The tool can run batches before the measured ones.
        most_files: Files that an input folder may have.
    """

    library = ""
    distributions: ClassVar[Tuple[str, ...]] = ()
    formats = ("om",)
    joins: ClassVar[bool]
    warms_up: ClassVar[bool]
    most_files: ClassVar[int] = sys.maxsize

    @property
    def devices(self) -> Tuple[int, ...]:
        """Numbers of the devices, each of which is given to a process of its own."""
        return self.options.devices or (0,)

    def environment(self) -> Optional[Dict[str, str]]:
        """Return the environment to run in; None is this process's."""
        return None

    @property
    def device(self) -> str:
        """SOC and numbers of the devices."""
        return device_name(self.record, self.options)

    @property
    def precision(self) -> str:
        """What the model was compiled to."""
        return self.record.precision

    def check_options(self) -> None:
        """Refuse what only engines of this process have."""
        check_om_options(self)
        for name in ("streams", "requests"):
            if getattr(self.options, name):
                raise RequestError(f"the {self.name} engine runs one batch at a time", f"--{name}", "use --engine acl")

    def __enter__(self) -> NoReturn:
        """Refuse: a tool takes folders, not single batches."""
        raise RequestError(f"the {self.name} engine takes folders, not single batches", "--engine", "use --engine acl")

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        """Do nothing; a tool is never opened."""

    @abc.abstractmethod
    def check(self, root: Path) -> None:
        """Refuse, before anything is run, a folder that the tool would refuse."""

    @abc.abstractmethod
    def command(self, stage: Stage) -> List[str]:
        """Return the command."""

    @abc.abstractmethod
    def succeeded(self, code: int, console: str) -> bool:
        """Tell from exit code and console output whether the tool has done its work."""

    @abc.abstractmethod
    def result_files(self, stage: Stage, outputs: int) -> List[List[Path]]:
        """Return, per batch file, where the tool puts each output; the files need not be there."""

    @abc.abstractmethod
    def compute_ms(self, stage: Stage, console: str) -> Dict[int, List[float]]:
        """Return, by device, the milliseconds that the tool measured for each execution, warm-up apart."""
