"""What keeps this machine from making videos, and what to do about it, by published case."""
