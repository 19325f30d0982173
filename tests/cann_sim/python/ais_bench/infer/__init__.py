"""What ``python3 -m ais_bench`` runs."""
