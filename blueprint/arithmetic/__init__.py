"""Number formats and arithmetic that several families use, bit for bit."""
