"""`python -m driftd` is the `driftd` command."""

from driftd.cli import main

main()
