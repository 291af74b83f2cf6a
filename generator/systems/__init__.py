"""The hardware of whole accelerators around the families' units."""
