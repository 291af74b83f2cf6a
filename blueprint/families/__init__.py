"""Families of accelerators, one folder each."""
