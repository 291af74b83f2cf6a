"""Technologies: cell libraries, what their cells do, memories, and files of all that."""
