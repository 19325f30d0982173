"""Stage 5: scores of clips to val.json, accuracy.json and scores.npz."""

import clip2om  # noqa: F401  Refuses a Python that is too old before anything is read that it cannot parse.
