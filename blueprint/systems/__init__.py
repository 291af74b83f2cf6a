"""Whole accelerators: what stands around the families' units."""
