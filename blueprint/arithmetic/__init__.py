"""Number formats and arithmetic shared by families, bit-exact."""
