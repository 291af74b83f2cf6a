"""One file a verb: its public function, the text of its answer and its command; loaded when the verb is called.

Imports stand at the top. What brings Amaranth, Numba or cocotb is imported by the function that runs it, so that help
and completion do not wait.
"""
