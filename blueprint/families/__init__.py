"""Families of accelerators: what every design of one is, a folder each."""
