"""Blueprint to Verilog; the only room that imports Amaranth."""
