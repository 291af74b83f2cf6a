"""One file a verb: its public function and the text of its answer; loaded when the verb runs.

Imports stand at the top. What brings Amaranth, Numba or cocotb is imported by the function that runs it. The command
of a verb is in `ternforge/commands`.
"""
