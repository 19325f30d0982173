"""What every engine is; those in this process are opened on a compiled model and turn batches into results in order."""

from __future__ import annotations

import abc
import contextlib
from collections import deque
from dataclasses import dataclass, replace
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

from clip2om.pipeline.errors import RequestError, last_line
from clip2om.pipeline.facts import versions
from clip2om.pipeline.records import CompiledRecord
from clip2om.pipeline.tensor import DYNAMIC, TensorSpec

Self = TypeVar("Self", bound="Engine")
INT8 = "int8"
_PRECISIONS = {"f32": "float32", "bf16": "bfloat16"}


@dataclass(frozen=True)
class Options:
    """How a model is run; None leaves the choice to the engine.

    Attributes:
        precision: ``f32`` or ``bf16``.
        streams: Batches computed at the same time.
        requests: Batches in flight.
        devices: Numbers of the NPUs; () is the engine's default.
    """

    precision: str = "f32"
    streams: Optional[int] = None
    requests: Optional[int] = None
    devices: Tuple[int, ...] = ()


@dataclass(frozen=True)
class Result:
    """Outputs of one batch, and when it was on the device, in seconds of ``time.perf_counter``.

    ``compute_ms`` is the execution alone, as the device's own clock has it, without copies and without waiting for
    other batches; ``copies_ms`` the copies in and out. None where the device does not tell, or where executions
    overlap and none has a time of its own.
    """

    outputs: List[np.ndarray]
    start: float
    end: float
    compute_ms: Optional[float] = None
    copies_ms: Optional[Tuple[float, float]] = None


def arithmetic(precision: Optional[str], record: CompiledRecord, where: object) -> str:
    """Return what ``--precision`` asks of the engine, ``f32`` or ``bf16``; None is the model's own.

    In an int8 model the layers that were left in float are computed in f32.

    Raises:
        RequestError: int8 is asked of a model that is not quantized, or another precision of one that is.
    """
    if precision is not None and (precision == INT8) != (record.precision == INT8):
        remedy = "convert with --precision int8" if precision == INT8 else "--precision int8, or leave it out"
        raise RequestError(f"computes in {record.precision}, asked for was --precision {precision}", where, remedy)
    return "f32" if precision in (None, INT8) else str(precision)


class EngineMissingError(RequestError):
    """The engine's library is not on this host, or cannot be imported."""


class Backend(abc.ABC):
    """What runs compiled models: an engine in this process, or a tool that is handed folders.

    A backend names its library, the distributions that bring it, the formats it runs and what to do without it.
    """

    name: ClassVar[str]
    library: ClassVar[str]
    distributions: ClassVar[Tuple[str, ...]]
    formats: ClassVar[Tuple[str, ...]]
    remedy: ClassVar[str]
    precisions: ClassVar[Tuple[str, ...]] = ("f32",)

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

    @property
    def device(self) -> str:
        """What computes, in words."""
        return "CPU"

    @property
    def precision(self) -> str:
        """Precision of the arithmetic as a record spells it."""
        return INT8 if self.record.precision == INT8 else _PRECISIONS[self.options.precision]

    def check_options(self) -> None:
        """Refuse options that this backend does not have.

        Raises:
            RequestError: naming the option.
        """
        if self.options.precision not in self.precisions:
            raise RequestError(
                f"the {self.name} engine computes in {' or '.join(self.precisions)}, not {self.options.precision}",
                "--precision",
            )
        if self.options.devices:
            raise RequestError(f"the {self.name} engine runs on the processor", "--devices", "leave --devices out")

    @abc.abstractmethod
    def __enter__(self) -> Engine:
        """Return the opened engine.

        Raises:
            EngineMissingError: what it needs is not on this host.
            RequestError: it cannot run the model, or not in this process.
        """

    @abc.abstractmethod
    def __exit__(self, kind: Optional[Type[BaseException]], error: object, trace: object) -> None:
        """Release everything."""


class Engine(Backend):
    """A compiled model on a device, in this process; use it as a context manager, on one thread.

    What can be checked once is checked here: that the model is what its record says and that every batch fits. A new
    engine fills in the methods that begin with an underscore.

    Attributes:
        names_outputs: Whether the compiled model keeps the graph's output names; else order, dtype and shape count.
    """

    names_outputs: ClassVar[bool] = True

    def __enter__(self: Self) -> Self:
        """Load the model.

        Raises:
            EngineMissingError: the library cannot be imported.
            RequestError: it cannot load the model, or the model is not what its record says.
        """
        self.check_options()
        try:
            with self._failures("cannot load it", "convert again"):
                self._open()
            _check_same(self.inputs(), self.record.inputs, self.model)
            _check_same(self.outputs(), self.record.outputs, self.model, self.names_outputs)
        except BaseException:
            self._close_after_failure()
            raise
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], error: object, trace: object) -> None:
        """Release the model; what fails while it is released is reported only where nothing else has failed."""
        if kind is None:
            self.close()
        else:
            self._close_after_failure()

    def _close_after_failure(self) -> None:
        with contextlib.suppress(RequestError):
            self.close()

    def allocate(self, spec: TensorSpec) -> np.ndarray:
        """Return an array of shape and dtype ``spec``, of any content, to be filled with a batch and fed.

        An engine that copies to a device gives out memory that it can copy from at full speed. May be called on any
        thread while the engine is open; the array must not be touched after it is closed.
        """
        return np.empty(spec.shape, spec.dtype)

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

    def observed(self) -> Dict[str, Any]:
        """Return what was seen of the device while it worked, for the record; empty where there is nothing to see."""
        return {}

    @property
    @abc.abstractmethod
    def requests(self) -> int:
        """Batches in flight."""

    @property
    def read_ahead(self) -> int:
        """Batches to read before they are asked for."""
        return self.requests + 1

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

    def _check_feed(self, feed: np.ndarray) -> None:
        (spec,) = self.record.inputs
        if (
            not _extents_fit(spec.shape, feed.shape)
            or feed.dtype != np.dtype(spec.dtype)
            or not feed.flags.c_contiguous
        ):
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


def spec_like(expected: Sequence[TensorSpec], names: Iterable[str], dtype: str, shape: Sequence[int]) -> TensorSpec:
    """Return a reported tensor under the name it has in ``expected``, if any of its ``names`` is there."""
    known = {spec.name: spec for spec in expected}
    aliases = sorted(names)
    name = next((alias for alias in aliases if alias in known), aliases[0] if aliases else "")
    if name not in known:
        return TensorSpec(name, dtype, tuple(shape), "")
    return replace(known[name], dtype=dtype, shape=tuple(shape))


def _check_same(found: List[TensorSpec], expected: List[TensorSpec], model: Path, named: bool = True) -> None:
    same = len(found) == len(expected) and all(_fits(one, other, named) for one, other in zip(found, expected))
    if not same:
        listed = [", ".join(str(spec) for spec in specs) for specs in (found, expected)]
        raise RequestError(f"has the tensors {listed[0]}, its record says {listed[1]}", model, "convert again")


def _fits(found: TensorSpec, expected: TensorSpec, named: bool) -> bool:
    shapes = _extents_fit(found.shape, expected.shape)
    return shapes and found.dtype == expected.dtype and (not named or found.name == expected.name)


def _extents_fit(allowed: Sequence[int], shape: Sequence[int]) -> bool:
    same_rank = len(allowed) == len(shape)
    return same_rank and all(extent in (DYNAMIC, want) for extent, want in zip(allowed, shape))


BackendClass = Type[Backend]
