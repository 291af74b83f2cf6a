"""Softmax attention as integer and float algorithms: bit-exact result and width of every step."""
