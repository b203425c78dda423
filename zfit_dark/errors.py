"""The one exception that the package raises for bad input."""

from __future__ import annotations


class InputError(ValueError):
    """Bad user input, told in one line: what is wrong, where, and what to do about it."""
