"""The description of an accelerator, written once: parameters, ports, arithmetic, inventory and timing."""
