"""Simulated atc: checks in the documented order, the first that fails is reported."""
