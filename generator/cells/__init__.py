"""Cells: hardware blocks shared by families."""
