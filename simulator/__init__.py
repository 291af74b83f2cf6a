"""The simulator: blueprint and workload to cycles, values and traces; RTL simulation as ground truth."""
