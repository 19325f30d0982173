"""Two runs side by side: where they part, which videos changed sides, how far the scores moved, which one is faster."""
