"""`python -m infra.cli`: how the stack starts its own commands."""

from infra.cli import main

main()
