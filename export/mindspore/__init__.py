"""Exporter for MindSpore checkpoints; with the mindspore engine of infer the only package that imports mindspore."""
