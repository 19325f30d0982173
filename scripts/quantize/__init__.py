"""int8: calibrated, measured, kept only if it is good enough."""
