"""Simulated aclruntime: the compiled half of ais_bench, present or absent as a whole."""

import acl as _acl

__all__ = []
__version__ = "0.0.2"
# The real extension does not load without CANN either.
assert hasattr(_acl, "rt")
