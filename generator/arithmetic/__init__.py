"""Arithmetic blocks: integers, floats, processing elements, softmax."""
