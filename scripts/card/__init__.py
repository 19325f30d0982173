"""A model card written from a file of weights or a graph, and a folder of videos."""
