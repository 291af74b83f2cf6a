"""One file a verb: its public function, the text of its answer and its command; loaded when the verb is called."""
