"""Stage 1: a trained checkpoint becomes a graph that the converters read."""

import clip2om  # noqa: F401  Refuses a Python that is too old before anything is read that it cannot parse.
