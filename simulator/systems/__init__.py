"""Exact models of the hardware around the families' units."""
