"""Benchmarks and fault harnesses: one command each, one JSON line out. Loopback only, bounded in count and time."""
