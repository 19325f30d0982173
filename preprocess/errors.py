"""The error that concerns one video, not the run."""


class BadVideoError(Exception):
    """One video cannot be used; the message is the reason that goes into the manifest."""
