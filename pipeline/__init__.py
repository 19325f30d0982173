"""What the five stages share: cards, artifacts, manifests, errors and the console."""

import clip2om  # noqa: F401  Refuses a Python that is too old before anything is read that it cannot parse.
