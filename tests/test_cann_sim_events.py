"""The simulated pyACL: events with the SYNC flag are levels, cleared by a reset task alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Iterator, List, Tuple

import pytest

from tests.cann_sim.program import good
from tests.cann_sim.samples import loaded_acl

SYNC, TIME_LINE = 1, 8


@pytest.fixture
def acl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("violations", "warnings"):
        monkeypatch.setenv(f"CANN_SIM_{name.upper()}", str(tmp_path / name))
    with loaded_acl() as module:
        good(module.init())
        good(module.rt.set_device(0))
        yield module


@pytest.fixture
def warnings(tmp_path: Path) -> Path:
    return tmp_path / "warnings"


def _streams(acl: Any, flag: int = SYNC, count: int = 2) -> Tuple[int, List[int]]:
    """An event that was recorded on the first stream, and the streams."""
    event = good(acl.rt.create_event_with_flag(flag))
    streams = [good(acl.rt.create_stream()) for _ in range(count)]
    good(acl.rt.record_event(event, streams[0]))
    return event, streams


def _synchronize(acl: Any, streams: List[int]) -> None:
    for stream in streams:
        good(acl.rt.synchronize_stream(stream))


def test_an_event_that_was_not_reset_lets_the_next_wait_pass_at_once(acl: Any, warnings: Path) -> None:
    event, streams = _streams(acl)
    good(acl.rt.stream_wait_event(streams[1], event))
    _synchronize(acl, streams)
    assert not warnings.exists()
    good(acl.rt.record_event(event, streams[0]))
    good(acl.rt.stream_wait_event(streams[1], event))
    assert "may pass at once" in warnings.read_text()
    _synchronize(acl, streams)


def test_a_reset_that_the_waiter_does_not_know_to_be_done_is_none(acl: Any) -> None:
    """The other stream may run late: its wait, not ordered behind the reset, may meet the flag of the last time."""
    event, streams = _streams(acl)
    _synchronize(acl, streams)
    good(acl.rt.reset_event(event, streams[0]))
    good(acl.rt.record_event(event, streams[0]))
    with pytest.raises(acl.ContractViolation, match="reset is not done for certain"):
        acl.rt.stream_wait_event(streams[1], event)


def test_a_reset_that_was_synchronised_makes_the_event_new(acl: Any, warnings: Path) -> None:
    event, streams = _streams(acl)
    for _ in range(3):
        good(acl.rt.stream_wait_event(streams[1], event))
        _synchronize(acl, streams)
        good(acl.rt.reset_event(event, streams[0]))
        _synchronize(acl, streams)
        good(acl.rt.record_event(event, streams[0]))
    _synchronize(acl, streams)
    assert not warnings.exists()


def test_a_second_waiter_on_a_cleared_event_is_refused(acl: Any) -> None:
    event, streams = _streams(acl, count=3)
    good(acl.rt.stream_wait_event(streams[1], event))
    good(acl.rt.reset_event(event, streams[1]))
    with pytest.raises(acl.ContractViolation, match="the wait would never end"):
        acl.rt.stream_wait_event(streams[2], event)


def test_a_reset_may_not_overtake_a_wait(acl: Any) -> None:
    event, streams = _streams(acl, count=3)
    good(acl.rt.stream_wait_event(streams[1], event))
    good(acl.rt.stream_wait_event(streams[2], event))
    with pytest.raises(acl.ContractViolation, match=r"a reset of an event .* is not synchronised with a wait"):
        acl.rt.reset_event(event, streams[1])


def test_only_events_with_the_flag_are_reset(acl: Any) -> None:
    stream = good(acl.rt.create_stream())
    for event in (good(acl.rt.create_event_with_flag(TIME_LINE)), good(acl.rt.create_event())):
        assert acl.rt.reset_event(event, stream) == 207000


def test_an_event_without_flags_takes_a_new_place_per_record(acl: Any, warnings: Path) -> None:
    event = good(acl.rt.create_event())
    streams = [good(acl.rt.create_stream()) for _ in range(2)]
    for _ in range(3):
        good(acl.rt.record_event(event, streams[0]))
        good(acl.rt.stream_wait_event(streams[1], event))
    _synchronize(acl, streams)
    assert not warnings.exists()


def test_an_integer_out_of_range_is_a_type_error(acl: Any) -> None:
    with pytest.raises(TypeError, match="args parse failed"):
        acl.rt.set_device(1 << 31)
