"""Hardware that several families use."""
