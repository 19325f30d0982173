"""Damaged files against every reader: each is read, or refused in one line, in seconds, and touches nothing else."""

from __future__ import annotations

import contextlib
import random
import resource
import shutil
import signal
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Dict, Iterator, List, NoReturn, Optional

from clip2om.pipeline.errors import RequestError
from clip2om.preprocess.errors import BadVideoError
from tests.hostile.mutations import damaged
from tests.hostile.readers import Reader, readers

HANG_S = 20
# That a reader may take of its files, none of which has more than some hundred kilobytes, in bytes of address space.
MEMORY = 1 << 30
_LONGEST_LINE = 4000


class HungError(BaseException):
    """A reader took longer than :data:`HANG_S` seconds."""


@dataclass
class Figures:
    """What became of the cases of one reader; ``failures`` say what, where, and how to do it again."""

    accepted: int = 0
    refused: int = 0
    hangs: int = 0
    failures: List[str] = field(default_factory=list)
    kinds: Counter = field(default_factory=Counter)

    @property
    def cases(self) -> int:
        """Number of cases."""
        return self.accepted + self.refused + len(self.failures)


def fuzz(folder: Path, cases: int, seed: int, keep: Optional[Path] = None) -> Dict[str, Figures]:
    """Try ``cases`` damaged files on each reader (fewer where it is slow), the same for the same seed.

    Args:
        folder: An empty folder; everything happens in it.
        cases: Of a reader whose share is 1.
        seed: Of the generator.
        keep: Where the inputs of failures are kept.
    """
    aside = folder / "aside"
    aside.mkdir()
    found = {}
    signal.signal(signal.SIGALRM, _hung)
    for name, reader in readers(aside).items():
        place = folder / "place"
        place.mkdir(exist_ok=True)
        found[name] = _one(name, reader, place, max(1, int(cases * reader.share)), seed, keep)
    return found


def _one(name: str, reader: Reader, place: Path, cases: int, seed: int, keep: Optional[Path]) -> Figures:
    figures = Figures()
    outside = _listing(place.parent, place)
    for number, content in enumerate(_inputs(name, reader, cases, seed)):
        path = place / reader.file
        path.write_bytes(content)
        wrong = _try(reader, place, figures)
        if wrong:
            figures.failures.append(f"{name} {seed}:{number} {wrong}")
            figures.kinds[wrong] += 1
            if keep is not None:
                keep.mkdir(parents=True, exist_ok=True)
                (keep / f"{name.replace(' ', '_')}-{seed}-{number}-{reader.file}").write_bytes(content)
    if _listing(place.parent, place) != outside:
        figures.failures.append(f"{name} {seed} changed something outside its folder")
    shutil.rmtree(place)
    place.mkdir()
    return figures


def _inputs(name: str, reader: Reader, cases: int, seed: int) -> Iterator[bytes]:
    dice = random.Random(f"{name} {seed}")
    for _ in range(cases):
        yield damaged(dice.choice(reader.seeds), dice)


def _try(reader: Reader, place: Path, figures: Figures) -> str:
    """Read once and return what was wrong with that, empty where nothing was."""
    begin = time.monotonic()
    signal.alarm(HANG_S)
    try:
        with bounded_memory():
            reader.read(place)
    except (RequestError, BadVideoError) as error:
        line = error.line() if isinstance(error, RequestError) else str(error)
        figures.refused += 1
        return "" if "\n" not in line and len(line) < _LONGEST_LINE else "a refusal of several lines, or endless"
    except MemoryError:
        return f"took more than {MEMORY >> 20} MiB"
    except HungError:
        figures.hangs += 1
        return f"took more than {HANG_S} s"
    except Exception as error:
        trace = error.__traceback__
        while trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
        where = f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}" if trace else ""
        return f"{type(error).__name__} at {where} ({str(error)[:100]})"
    finally:
        signal.alarm(0)
    figures.accepted += 1
    return "" if time.monotonic() - begin < HANG_S else f"took more than {HANG_S} s"


@contextlib.contextmanager
def bounded_memory() -> Iterator[None]:
    """Let this process take :data:`MEMORY` bytes more than it has; where the system does not say what it has, any."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except OSError:
        yield
        return
    most = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _hung(*_: object) -> NoReturn:
    raise HungError


def _listing(folder: Path, apart: Path) -> Dict[str, int]:
    return {
        str(path): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file() and apart not in path.parents
    }
