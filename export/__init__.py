"""Stage 1: a trained checkpoint becomes a graph that the converters read."""
