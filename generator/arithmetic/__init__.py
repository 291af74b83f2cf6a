"""Arithmetic as hardware: integers, floats, processing elements, softmax."""
