"""Stage 2: dataset to batches of clips, with an .info file and a manifest."""
