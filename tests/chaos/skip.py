"""A fault that cannot be made now, and why; another one is drawn."""


class Skip(Exception):
    """The reason is its text."""
