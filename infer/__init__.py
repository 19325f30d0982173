"""Stage 4: batches through a compiled model: score files, and how fast they came."""

import clip2om  # noqa: F401  Refuses a Python that is too old before anything is read that it cannot parse.
