"""Mutation of the Python models: how many small semantic changes the fast tests notice."""
