"""Stage 2: dataset to batches of clips, with an .info file and a manifest."""

import clip2om  # noqa: F401  Refuses a Python that is too old before anything is read that it cannot parse.
