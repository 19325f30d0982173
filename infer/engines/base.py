"""What every in-process engine is: opened on a compiled model, it turns a stream of batches into results in order."""

from __future__ import annotations

import abc
import contextlib
from collections import deque
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import (
    Any,
    ClassVar,
    Deque,
    Dict,
    Generator,
    Iterable,
    Iterator,
    List,
    Optional,
    Sequence,
    Tuple,
    Type,
    TypeVar,
)

import numpy as np

from pipeline.errors import RequestError
from pipeline.facts import versions
from pipeline.records import CompiledRecord
from pipeline.tensor import DYNAMIC, TensorSpec

Self = TypeVar("Self", bound="Engine")


@dataclass(frozen=True)
class Options:
    """How a model is run; None leaves the choice to the engine.

    Attributes:
        precision: ``f32`` or ``bf16``.
        streams: Batches computed at the same time.
        requests: Batches in flight.
    """

    precision: str = "f32"
    streams: Optional[int] = None
    requests: Optional[int] = None


@dataclass(frozen=True)
class Result:
    """Outputs of one batch, and when it was on the device, in seconds of ``time.perf_counter``."""

    outputs: List[np.ndarray]
    start: float
    end: float


class EngineMissingError(RequestError):
    """The engine's library is not on this host, or cannot be imported."""


class Engine(abc.ABC):
    """A compiled model on a device; use it as a context manager.

    What can be checked once is checked here: that the model is what its record says and that every batch fits. A new
    engine fills in the methods that begin with an underscore, and names its library, the distributions that bring it
    and the formats it runs.
    """

    name: ClassVar[str]
    library: ClassVar[str]
    distributions: ClassVar[Tuple[str, ...]]
    formats: ClassVar[Tuple[str, ...]]
    precisions: ClassVar[Tuple[str, ...]] = ("f32",)
    device = "CPU"

    def __init__(self, folder: Path, record: CompiledRecord, options: Options) -> None:
        self.model = folder / record.file
        self.record = record
        self.options = options

    @classmethod
    def available(cls) -> bool:
        """True where the library is installed; it is not imported."""
        return find_spec(cls.library) is not None

    @classmethod
    def version(cls) -> str:
        """Return the installed version, without importing the library."""
        return next(iter(versions(cls.distributions).values()), "unknown")

    def __enter__(self: Self) -> Self:
        """Load the model.

        Raises:
            EngineMissingError: the library cannot be imported.
            RequestError: it cannot load the model, or the model is not what its record says.
        """
        self._check_options()
        try:
            with self._failures("cannot load it", "convert again"):
                self._open()
            _check_same(self.inputs(), self.record.inputs, self.model)
            _check_same(self.outputs(), self.record.outputs, self.model)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def infer(self, feeds: Iterable[np.ndarray]) -> Generator[Result, None, None]:
        """Yield the result of every feed, in order, keeping :attr:`requests` batches in flight.

        A feed is read until its result is yielded: leave it unchanged until then.

        Raises:
            RequestError: a feed has another dtype or shape than the input, or the engine fails.
        """
        flight: Deque[Any] = deque()
        try:
            for feed in feeds:
                self._check_feed(feed)
                done = self._finish(flight) if len(flight) >= self.requests else None
                with self._failures("failed", "run again"):
                    flight.append(self._submit(feed))
                if done is not None:
                    yield done
            while flight:
                yield self._finish(flight)
        finally:
            for ticket in flight:
                self._abandon(ticket)

    def settings(self) -> Dict[str, Any]:
        """Return what the engine chose where the options left it the choice."""
        return {"requests": self.requests}

    @property
    @abc.abstractmethod
    def requests(self) -> int:
        """Batches in flight."""

    @abc.abstractmethod
    def inputs(self) -> List[TensorSpec]:
        """Return the inputs as the loaded model reports them."""

    @abc.abstractmethod
    def outputs(self) -> List[TensorSpec]:
        """Return the outputs as the loaded model reports them."""

    @abc.abstractmethod
    def close(self) -> None:
        """Release the model; nothing is in flight any more. Closing twice, or before opening, does nothing."""

    @abc.abstractmethod
    def _open(self) -> None:
        """Import the library and load the model."""

    @abc.abstractmethod
    def _submit(self, feed: np.ndarray) -> Any:
        """Start one batch and return a ticket for it; called only while fewer than ``requests`` are in flight."""

    @abc.abstractmethod
    def _collect(self, ticket: Any) -> Result:
        """Wait for the oldest batch in flight; the outputs are the caller's to keep."""

    @abc.abstractmethod
    def _abandon(self, ticket: Any) -> None:
        """Wait until the engine no longer uses a batch whose result nobody wants."""

    def _finish(self, flight: Deque[Any]) -> Result:
        with self._failures("failed", "run again"):
            result = self._collect(flight[0])
        flight.popleft()
        return result

    def _check_options(self) -> None:
        if self.options.precision not in self.precisions:
            raise RequestError(
                f"the {self.name} engine computes in {' or '.join(self.precisions)}, not {self.options.precision}",
                "--precision",
            )

    def _check_feed(self, feed: np.ndarray) -> None:
        (spec,) = self.record.inputs
        if feed.shape != spec.shape or feed.dtype != np.dtype(spec.dtype) or not feed.flags.c_contiguous:
            raise RequestError(f"a batch is {feed.dtype} {feed.shape}, the model takes {spec}", self.model)

    @contextlib.contextmanager
    def _failures(self, what: str, todo: str) -> Iterator[None]:
        """Turn what the library raises, whatever its class, into one line that ends with the cause."""
        try:
            yield
        except RequestError:
            raise
        except ImportError as error:
            raise EngineMissingError(
                f"the {self.name} engine cannot be imported ({last_line(error)})", "--engine", "install it again"
            ) from None
        except Exception as error:
            raise RequestError(f"{self.name} {what} ({last_line(error)})", self.model, todo) from None


def last_line(error: Exception) -> str:
    """Return the last line of an exception's text, where libraries put the cause."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__


def spec_like(expected: Sequence[TensorSpec], names: Iterable[str], dtype: str, shape: Sequence[int]) -> TensorSpec:
    """Return a reported tensor under the name it has in ``expected``, if any of its ``names`` is there."""
    known = {spec.name: spec for spec in expected}
    aliases = sorted(names)
    name = next((alias for alias in aliases if alias in known), aliases[0] if aliases else "")
    layout = known[name].layout if name in known else ""
    return TensorSpec(name, dtype, tuple(shape), layout)


def _check_same(found: List[TensorSpec], expected: List[TensorSpec], model: Path) -> None:
    same = len(found) == len(expected) and all(_fits(one, other) for one, other in zip(found, expected))
    if not same:
        listed = [", ".join(str(spec) for spec in specs) for specs in (found, expected)]
        raise RequestError(f"has the tensors {listed[0]}, its record says {listed[1]}", model, "convert again")


def _fits(found: TensorSpec, expected: TensorSpec) -> bool:
    shapes = len(found.shape) == len(expected.shape) and all(
        extent in (DYNAMIC, want) for extent, want in zip(found.shape, expected.shape)
    )
    return shapes and (found.name, found.dtype) == (expected.name, expected.dtype)


EngineClass = Type[Engine]
