"""Words of the command line itself, which help lists: this file loads nothing that is slow."""

from __future__ import annotations

from blueprint.words import MEMORIES as BEHAVIORS

#: The figure that each explanation adds up to, and its unit.
EXPLAINED = {
    "area": ("area_um2", "um2"),
    "clock": ("critical_path_ps", "ps"),
    "energy": ("energy_pj", "pJ"),
    "cycles": ("cycles", ""),
}
#: Forms in which a checkpoint is written.
ENCODINGS = ("tq1_0", "tq2_0", "i2_s", "packed")
#: Flows that take the generated folder as it is, and the command or step that starts each.
FLOWS = {
    "files": "read the files named in {out}/files.f, in that order",
    "fusesoc": "fusesoc --cores-root {out} run --target=lint {top}",
    "yosys": "cd {out} && yosys -s synth.ys  # with Yosys on PATH",
}
#: Suffixes of a trace's file.
TRACES = (".json", ".json.gz")
#: The technology where neither a command nor a file names one.
TECHNOLOGY = "asap7"
#: The seed of what is random where none is given.
SEED = 1
#: Tokens in front of the one that an estimate of a system decodes, where no context is given.
CONTEXT = 1024
#: The memory of a system as it is described, beside the behaviors of benches.
OWN_MEMORY = "system"

#: Memories of a simulated system.
MEMORIES = (OWN_MEMORY, *BEHAVIORS)
