"""Peers: the same scenario in other frameworks, each in an environment of its own, one script each."""
