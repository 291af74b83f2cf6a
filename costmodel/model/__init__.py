"""Area, clock and energy of an inventory in a technology."""
