"""Exported Verilog as a program: Verilator or CXXRTL behind one harness."""
