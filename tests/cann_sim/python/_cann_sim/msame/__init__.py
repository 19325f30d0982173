"""Simulated msame, on the simulated acl ([S] throughout: its source did not change from 2023 to 2025)."""
