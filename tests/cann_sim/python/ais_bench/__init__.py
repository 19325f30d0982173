"""Simulated ais_bench, running on the simulated acl; CANN_SIM_AIS_BENCH chooses the generation.

G2 (default) is December 2025, G1 version 0.0.2 of June 2023, G0 an older one whose summary is ``sumary.json`` inside
the output folder.
"""
