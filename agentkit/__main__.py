"""`python -m agentkit` is the command `agentkit`."""

from agentkit.cli import main

main()
