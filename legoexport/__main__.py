"""``python -m legoexport``."""

from legoexport.cli import main

main()
