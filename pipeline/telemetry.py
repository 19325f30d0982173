"""Keep libraries from reporting to their makers."""

from __future__ import annotations

import sys


def silence() -> None:
    """Call before ``import openvino``: it would report the import over the network, and on exit wait for the answer.

    Without the package openvino_telemetry, OpenVINO uses a stand-in of its own that does nothing.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
