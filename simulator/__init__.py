"""The simulator: blueprint x workload -> cycles, values, traces; and the drive of the ground truth, RTL simulation."""
