"""Videos to labels."""
