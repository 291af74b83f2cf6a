"""The hardware of every family, a folder each."""
