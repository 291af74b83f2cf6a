"""What the model is held to: synthesis, mapping, static timing, gate-level switching."""
