"""What an accelerator is: parameters, ports, arithmetic, hardware inventory and timing, written once."""
