"""Datasets of the preprocess tests, here too."""

from tests.preprocess.conftest import small

__all__ = ["small"]
