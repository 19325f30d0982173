"""Graph to compiled model: OpenVINO IR for the CPU."""
