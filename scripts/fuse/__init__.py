"""Late fusion: two runs over the same videos, one result."""
