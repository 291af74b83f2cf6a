"""Readers of YAML and JSON files; every error is one sentence with a position."""
