"""Codes that the simulated ACL returns ([D] aclError table), and the per-thread error text."""

from __future__ import annotations

import threading
from typing import List, Optional

INVALID_PARAM = 100000
UNINITIALIZE = 100001
REPEAT_INITIALIZE = 100002
INVALID_FILE = 100003
PARSE_FILE = 100006
REPEAT_FINALIZE = 100037
STUB_MODE = 100039
RT_PARAM_INVALID = 107000
INVALID_DEVICE = 107001
CONTEXT_NULL = 107002
STREAM_CONTEXT = 107003
EVENT_TIMESTAMP = 107006
EVENT_REVERSAL = 107007
GE_PARAM_INVALID = 145000
MODEL_PATH = 145002
MODEL_ID = 145003
DYNAMIC_LENGTH = 145012
DYNAMIC_BATCH = 145013
API_NOT_SUPPORT = 200001
FEATURE_NOT_SUPPORTED = 207000
OUT_OF_MEMORY = 207001
DEVICE_BUSY = 207005
NO_EVENT = 207007
NO_STREAM = 207008
GE_OUT_OF_MEMORY = 245000
GE_FAILURE = 500002
RT_INTERNAL = 507000
MODEL_EXECUTE = 507011
STREAM_TIMEOUT = 507046
EVENT_TIMEOUT = 507047
DRIVER = 507899
GET_TENSOR_INFO = 545008

_messages = threading.local()


class AclError(Exception):
    """Ends a simulated call with an aclError; never seen by the caller, who gets the code."""

    def __init__(self, code: int, text: str = "") -> None:
        super().__init__(code, text)
        self.code = code
        self.text = text


def remember(text: str) -> None:
    """Add ``text`` to what get_recent_err_msg of this thread returns, newest first."""
    if text:
        pending: List[str] = getattr(_messages, "pending", [])
        _messages.pending = [text, *pending]


def take_messages() -> Optional[str]:
    """Return and clear the calling thread's messages, None where there are none."""
    pending: List[str] = getattr(_messages, "pending", [])
    _messages.pending = []
    return "\n".join(pending) or None
