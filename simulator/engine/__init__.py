"""The timing kernel: a graph of nodes and channels, event by event, with exact skips of what repeats."""
