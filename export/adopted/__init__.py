"""Graphs that were made elsewhere: checked against a card and taken as a graph of the export stage."""
