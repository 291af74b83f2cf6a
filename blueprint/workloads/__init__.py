"""Workloads: matrix products, attention, whole models."""
