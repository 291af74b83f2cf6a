"""How YAML and JSON files are read: every error one sentence with its place."""
