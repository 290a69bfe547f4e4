"""Limits on reading one file: bytes made and steps of work, in proportion to its size."""

from __future__ import annotations

_FACTOR = 8  # bytes made per byte of the file: its parts are cut out once, and halves become whole numbers
_SPARE_BYTES = 48 * 2**20
_STEPS = 2_000_000  # a network of three parts takes about 60,000; a step is about a microsecond


class UnsafePickleError(ValueError):
    """A pickle that asks for something a network file does not need, or that is damaged. Nothing of it was executed."""


class BudgetError(UnsafePickleError):
    """A file that costs more than its size can be worth: parts of it are used over and over."""


class Budget:
    """Bytes and steps that are left for one file. Every reader of it takes from the same one, before it does anything.

    Args:
        size: of the file, in bytes.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.bytes = _FACTOR * size + _SPARE_BYTES
        self.steps = _STEPS

    def take(self, bytes: int = 0, steps: int = 1) -> None:
        """Pays for making `bytes` and doing `steps`.

        Raises:
            BudgetError: not enough is left.
        """
        self.bytes -= bytes
        self.steps -= steps
        if self.bytes < 0:
            raise BudgetError(
                f"it asks for more bytes than a file of {self.size} can be worth: parts are used over and over"
            )
        if self.steps < 0:
            raise BudgetError(f"reading it takes more than {_STEPS} steps: parts are used over and over")
