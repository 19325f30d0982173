"""One page from an NPU host: everything tried once."""
