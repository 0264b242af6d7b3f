"""Task suites that ship with agentkit."""
