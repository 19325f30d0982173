"""The layer in which two executions of one graph part."""
