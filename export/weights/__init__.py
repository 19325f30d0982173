"""Files of trained weights, read with NumPy alone and without running anything that they hold."""
