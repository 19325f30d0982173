"""What this project measures of itself: `make bench` runs all of it."""
