"""`python -m rfsn_core.cli`: the `rfsn` program where its script is not on the path."""

from rfsn_core.cli import main

main()
