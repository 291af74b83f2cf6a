"""Ground truth of the model: synthesis, mapping, static timing, gate-level switching."""
