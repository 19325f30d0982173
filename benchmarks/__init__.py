"""What this project measures of itself: `make bench` runs all of it."""

import clip2om  # noqa: F401  Refuses a Python that is too old before anything is read that it cannot parse.
