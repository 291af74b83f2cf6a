"""Tools: child processes with limits, the build cache, and the drivers of Yosys, Verilator and g++."""
