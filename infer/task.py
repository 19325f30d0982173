"""What is handed to an engine, however it runs: batches to do, and where results go."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Callable, Dict, List, Optional, Tuple

from clip2om.infer.groups import Group
from clip2om.infer.job import Job
from clip2om.infer.journal import Entry
from clip2om.infer.measure import Clock
from clip2om.infer.scores import ScoreFolder
from clip2om.pipeline.console import Console


@dataclass(frozen=True)
class Task:
    """Batches for an engine; can be sent to another process.

    Attributes:
        groups: The executions to do, a subset of the job's or several times all of them.
        scores: Where results are written; None where they are dropped.
        warmup: Batches per request before the clock starts.
        verify: Compare every file's SHA-256 with the manifest's.
    """

    job: Job
    groups: List[Group]
    scores: Optional[ScoreFolder]
    warmup: int
    verify: bool


@dataclass(frozen=True)
class Hooks:
    """What the caller does meanwhile, in its own process.

    Attributes:
        begin: Called once, when the engine is ready and before the first result file is written.
        keep: Called with the group and its result files (None where results are dropped) after they are written.
    """

    begin: Callable[[], None]
    keep: Callable[[Group, Optional[Entry]], None]
    console: Console


@dataclass(frozen=True)
class Outcome:
    """How it went: what the engine chose itself, when each batch ran, and the warm-up (batches, seconds).

    ``observed`` is what was seen of each device meanwhile, by its number.
    """

    clock: Clock
    warmup: Tuple[int, float]
    settings: Dict[str, Any] = field(default_factory=dict)
    observed: Dict[str, Any] = field(default_factory=dict)
