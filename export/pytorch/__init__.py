"""Exporter for PyTorch checkpoints; the only package that imports torch."""
