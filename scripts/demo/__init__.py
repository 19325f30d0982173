"""The demo: its rendered videos and the training of its small network."""
