"""``python -m ternforge`` is the command line."""

from ternforge.entry import main

main()
