"""What a config names, built and wired; finished runs loaded again and fused."""
