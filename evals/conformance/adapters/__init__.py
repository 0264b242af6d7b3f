"""Adapters: one framework each, in an environment where it is installed; the class is called `Adapter`."""
