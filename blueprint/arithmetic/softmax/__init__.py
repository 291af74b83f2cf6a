"""Softmax attention as integer and float algorithms: what every step gives, bit for bit, and how wide it is."""
