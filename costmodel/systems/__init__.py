"""Whole decoders: time, energy and area of a system and a model."""
