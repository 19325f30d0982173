"""What a host has and what it lacks, stage by stage."""
