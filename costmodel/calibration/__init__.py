"""Measurement, fit and validation of a technology's coefficients."""
