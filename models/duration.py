"""Lengths of time in words."""

from typing import Final

_UNITS: Final = (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1))


def in_words(seconds: int) -> str:
    """A length of time (at least 1 second) in the largest unit of which it is a multiple: "90
    seconds", "1 hour"."""
    name, length = next(unit for unit in _UNITS if seconds % unit[1] == 0)
    number = seconds // length
    return f"{number} {name}" if number == 1 else f"{number} {name}s"
