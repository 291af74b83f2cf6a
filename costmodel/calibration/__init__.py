"""How a technology's coefficients are measured, fitted and judged."""
