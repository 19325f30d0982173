"""Batches through a compiled model: score files, and how fast they came."""
