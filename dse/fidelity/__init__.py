"""The ladder of fidelity: designs of the front measured by the simulator and by synthesis, and what that corrects."""
