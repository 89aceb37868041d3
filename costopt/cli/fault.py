"""Bad input on the command line: one line on stderr, exit code 2."""

from __future__ import annotations


class InputError(Exception):
    """What the user typed cannot be used; the message says what to type instead."""
