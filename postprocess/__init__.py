"""Stage 5: scores of clips to val.json, accuracy.json and scores.npz."""
