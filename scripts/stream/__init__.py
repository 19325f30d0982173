"""Videos to accuracy with nothing on the disk between."""
