"""Technologies: cell libraries, roles of their cells, memories, and their files."""
