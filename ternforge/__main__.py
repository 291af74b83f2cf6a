"""``python -m ternforge`` is the command line."""

from ternforge.cli import main

main()
