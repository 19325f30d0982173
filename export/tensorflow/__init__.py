"""Exporter for TensorFlow checkpoints; the only package that imports tensorflow."""
