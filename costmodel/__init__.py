"""Blueprint and technology to area, timing and energy, and the synthesis that measures them."""
