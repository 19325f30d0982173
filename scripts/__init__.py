"""What a person runs by hand: dataset preparation, demo data and its training; the one place that composes stages."""

import clip2om  # noqa: F401  Refuses a Python that is too old before anything is read that it cannot parse.
