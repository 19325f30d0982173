"""Stage 3: a graph becomes a compiled model, .om for an NPU and OpenVINO IR for the CPU."""

import clip2om  # noqa: F401  Refuses a Python that is too old before anything is read that it cannot parse.
