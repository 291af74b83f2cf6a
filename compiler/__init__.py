"""From a system and a checkpoint to programs and an image of memory."""
