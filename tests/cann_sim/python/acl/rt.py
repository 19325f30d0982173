"""Simulated ``acl.rt``: devices, contexts, streams, events, memory, callbacks."""

# ruff: noqa: F401 - the public functions of the module, written in the private ones

from _cann_sim import knobs as _knobs

from acl._callback import launch_callback, process_report, subscribe_report, unsubscribe_report
from acl._device import (
    create_context,
    destroy_context,
    get_context,
    get_device,
    get_device_count,
    get_mem_info,
    get_run_mode,
    reset_device,
    reset_device_force,
    set_context,
    set_device,
    set_op_execute_timeout,
    set_op_wait_timeout,
)
from acl._event import (
    create_event,
    create_event_with_flag,
    destroy_event,
    event_elapsed_time,
    query_event,
    query_event_status,
    record_event,
    reset_event,
    stream_wait_event,
    synchronize_event,
    synchronize_event_with_timeout,
)
from acl._memory import (
    free,
    free_host,
    malloc,
    malloc_align32,
    malloc_cached,
    malloc_host,
    memcpy,
    memcpy_async,
    memset,
    memset_async,
)
from acl._stream import (
    create_stream,
    create_stream_with_config,
    destroy_stream,
    synchronize_device,
    synchronize_stream,
    synchronize_stream_with_timeout,
)

if not _knobs.flag("TIMEOUTS", True):
    del synchronize_stream_with_timeout, synchronize_event_with_timeout
