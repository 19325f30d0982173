"""One place in which a batch travels to the device, through the model, and back."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, List, Optional, Tuple

import numpy as np

from clip2om.infer.engines.acl_library import AclError, Library, Resources
from clip2om.infer.engines.acl_memory import address, pinned, views
from clip2om.infer.engines.acl_model import Description
from clip2om.pipeline.tensor import TensorSpec

HUGE_FIRST = 0
_HOST_TO_DEVICE = 1
_DEVICE_TO_HOST = 2
_EVENT_SYNC = 1
_EVENT_TIME_LINE = 8
# A wrong or unsupported argument, by release: 100000, RT_PARAM_INVALID, API_NOT_SUPPORT, FEATURE_(NOT_)SUPPORT(ED).
_REFUSALS = (100000, 107000, 200001, 200006, 207000)


@dataclass(frozen=True)
class _Marks:
    """Events with a time: around the copy in, the execution and the copy out of a batch."""

    given: int
    fed: int
    begun: int
    ended: int
    back: int


def _sync_events(resources: Resources, count: int) -> Tuple[List[int], bool]:
    """Return events that streams wait for, and whether they are levels.

    CANN 5 does not know the flag and has events of one kind only, of which each record takes a new place.
    """
    take = functools.partial(resources.take, "event")
    try:
        first = take("rt.create_event_with_flag", _EVENT_SYNC)
    except AttributeError:
        return [take("rt.create_event") for _ in range(count)], False
    except AclError as error:
        if error.code not in _REFUSALS:
            raise
        return [take("rt.create_event") for _ in range(count)], False
    return [first, *(take("rt.create_event_with_flag", _EVENT_SYNC) for _ in range(count - 1))], True


class _Turns:
    """Three events of which each marks the end of every third execution of a slot.

    An event with the SYNC flag is a level: set by a record, cleared by a reset *task* alone, whether or not anybody
    waited for it. Hence each is reset a turn before it is recorded again: by then the batch that waited for its last
    record has been synchronised, and when the next one waits, so has the stream that the reset was queued on.
    """

    def __init__(self, library: Library, resources: Resources) -> None:
        self._library = library
        self._events, self._levels = _sync_events(resources, 3)
        self._set = [False for _ in self._events]
        self._turn = 0
        self._resets = True

    @property
    def current(self) -> int:
        """The event of this turn."""
        return self._events[self._turn]

    def advance(self, stream: int) -> None:
        """Begin a turn, on an idle stream: its event is clear, and the one of the next is cleared on the way."""
        self._turn = self._next
        self._set[self._turn] = True
        if self._set[self._next] and self._resets:
            self._reset(self._events[self._next], stream)
            self._set[self._next] = False

    def _reset(self, event: int, stream: int) -> None:
        try:
            self._library.act("rt.reset_event", event, stream)
        except AclError as error:
            # Of an event without the flag there is nothing to reset. One with it that stays set would let executions
            # overlap, without a word.
            if self._levels or error.code not in _REFUSALS:
                raise
            self._resets = False

    @property
    def _next(self) -> int:
        return (self._turn + 1) % len(self._events)


class Slot:
    """A stream with its own load of the model and its own buffers.

    A model may not be in flight on two streams at once, hence a load per slot; the weights are shared.

    Args:
        resources: Owner of everything that is made here.
        model: The slot's own model id.
        description: What the model takes and gives.
    """

    def __init__(self, library: Library, resources: Resources, model: int, description: Description) -> None:
        self._library = library
        self._model = model
        self._gear_index = description.gear_index
        self._gear = 0
        self._stream = resources.take("stream", "rt.create_stream")
        sizes = [port.size for port in description.inputs]
        if description.gear_index is not None:
            sizes.insert(description.gear_index, description.gear_size)
        self._inputs = _on_device(resources, sizes)
        self._outputs = _on_device(resources, [port.size for port in description.outputs])
        self._input = self._inputs[0 if description.gear_index != 0 else 1]
        self._results = [pinned(resources, port.size) for port in description.outputs]
        self._fed = resources.dataset(self._inputs)
        self._given = resources.dataset(self._outputs)
        self._marks = _Marks(
            *(resources.take("event", "rt.create_event_with_flag", _EVENT_TIME_LINE) for _ in range(5))
        )
        self._turns = _Turns(library, resources)

    @property
    def done(self) -> int:
        """The event that follows the latest execution."""
        return self._turns.current

    def set_gear(self, batch: int) -> None:
        """Choose the batch size of a model with gears; writes at once, so the slot must be idle."""
        if self._gear_index is not None and batch != self._gear:
            self._library.act("mdl.set_dynamic_batch_size", self._model, self._fed, self._gear_index, batch)
            self._gear = batch

    def start(self, feed: np.ndarray, outputs: List[TensorSpec], after: Optional[int]) -> None:
        """Queue copy, execution and copy back.

        Args:
            feed: Page-locked; left alone until :meth:`wait` has returned.
            outputs: What the model gives for this batch.
            after: Event of another slot's execution that this one's shall follow.
        """
        act, stream = self._library.act, self._stream
        self._turns.advance(stream)
        device, size = self._input
        marks = self._marks
        act("rt.record_event", marks.given, stream)
        act("rt.memcpy_async", device, size, address(feed), feed.nbytes, _HOST_TO_DEVICE, stream)
        act("rt.record_event", marks.fed, stream)
        if after is not None:
            act("rt.stream_wait_event", stream, after)
        act("rt.record_event", marks.begun, stream)
        act("mdl.execute_async", self._model, self._fed, self._given, stream)
        act("rt.record_event", marks.ended, stream)
        act("rt.record_event", self.done, stream)
        for (source, _), result, spec in zip(self._outputs, self._results, outputs):
            act("rt.memcpy_async", address(result), result.nbytes, source, spec.nbytes, _DEVICE_TO_HOST, stream)
        act("rt.record_event", marks.back, stream)

    def wait(self) -> None:
        """Wait for everything queued; a slot is started again only after that."""
        self._library.synchronize(self._stream)

    def stages_ms(self) -> Tuple[float, float, float]:
        """Return the milliseconds of the latest batch's copy in, execution and copy out; only after :meth:`wait`.

        A copy includes its wait for the copy engine; the wait for other executions is in none of them.
        """
        marks = self._marks
        pairs = ((marks.given, marks.fed), (marks.begun, marks.ended), (marks.ended, marks.back))
        into, alone, out = (float(self._library.take("rt.event_elapsed_time", *pair)) for pair in pairs)
        return into, alone, out

    def outputs(self, specs: List[TensorSpec]) -> List[np.ndarray]:
        """Return copies of the results; only after :meth:`wait`."""
        return [np.array(view) for view in views(self._results, specs)]


def _on_device(resources: Resources, sizes: List[int]) -> List[Tuple[int, int]]:
    """Return (address, bytes) of new device buffers."""
    return [(resources.take("device memory", "rt.malloc", size, HUGE_FIRST), size) for size in sizes]


def load(library: Library, resources: Resources, path: str, count: int) -> List[int]:
    """Load a model ``count`` times with one copy of its weights; each load has its own working memory.

    Returns:
        Model ids.
    """
    weights = library.take("mdl.query_size", path)[1]
    # A size of 0 cannot be allocated; a null pointer leaves the matter to the system, as it does the working memory.
    area: Any = resources.take("device memory", "rt.malloc", weights, HUGE_FIRST) if weights else 0
    return [resources.take("model", "mdl.load_from_file_with_mem", path, 0, 0, area, weights) for _ in range(count)]
