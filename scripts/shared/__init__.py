"""What several commands use: opening engines, measuring, processes, made-up batches."""
