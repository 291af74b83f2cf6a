"""Hardware of the families, one folder each."""
