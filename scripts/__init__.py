"""What a person runs by hand: dataset preparation, demo data and its training; the one place that composes stages."""
