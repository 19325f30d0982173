"""Framework, graph and compiled model on the same clips."""
