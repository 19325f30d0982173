"""Throughput and latency over batch sizes."""
