"""Designs proven by cocotb on Verilator: the bench inside the simulator, and who asks for it outside."""
