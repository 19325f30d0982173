"""Datasets made ready: annotations, frames on the disk, splits of class folders."""
