"""Verification by cocotb on Verilator: the bench inside the simulator, and its caller outside."""
