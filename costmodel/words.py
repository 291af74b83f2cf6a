"""Names of recipes, of parts of a cost model and of models of wires; this file loads nothing, so help is quick."""

from __future__ import annotations

#: Least area, no buffers, weakest cells; heavy nets are timed as if they had buffer trees, wires are left out.
LEAST = "area/4"
#: The same netlist with real buffers and, for a given period, stronger cells and faster adders; timed with wires.
BUFFERED = "buffered/1"
#: The buffered netlist, with clock gates where registers share an enable.
GATED = "gated/1"
RECIPES = (LEAST, BUFFERED, GATED)
#: The recipe where nothing says which.
STANDARD = BUFFERED
#: Parts of a cost model that can be fitted alone.
PARTS = ("area", "delay", "energy")
#: Models of wires: none, the library's own, a statistical one.
WIRES = ("none", "library", "model")
#: Designs of a family that calibration, and validation, may be asked for: fewest and most.
CALIBRATED, VALIDATED = (5, 1000), (1, 1000)
