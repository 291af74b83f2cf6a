"""How many evaluations searches need on spaces that can be enumerated; ``python -m benchmarks.searches``."""
