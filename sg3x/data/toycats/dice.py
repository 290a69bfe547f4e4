"""Random draws that are a pure function of (seed, index, purpose), the same on every machine and in every NumPy.

Each draw hashes its own name, so adding a trait to the cats changes no other trait of any cat.
Only +, -, *, / and sqrt are used from there on: IEEE 754 fixes those to the last bit, libm's sin and exp it does not.
"""

import hashlib
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")

DECIMALS = 5  # draws are rounded, so that the attributes written as JSON are the very numbers drawn with


class Dice:
    """Named draws for one picture."""

    def __init__(self, seed: int, index: int):
        self._prefix = f"toycat/{seed}/{index}/"

    def _unit(self, purpose: str) -> float:
        """Uniform in [0, 1), 53 bits."""
        digest = hashlib.blake2b((self._prefix + purpose).encode(), digest_size=8).digest()
        return (int.from_bytes(digest, "big") >> 11) / float(1 << 53)

    def uniform(self, purpose: str, low: float, high: float) -> float:
        """Uniform in [low, high]."""
        return round(low + (high - low) * self._unit(purpose), DECIMALS)

    def bell(self, purpose: str, spread: float) -> float:
        """Triangular in [-spread, spread]: most draws are small, none is beyond `spread`."""
        return round(spread * (self._unit(purpose + "/a") - self._unit(purpose + "/b")), DECIMALS)

    def pick(self, purpose: str, options: Sequence[T]) -> T:
        """One of `options`, each as likely (repeat an option to make it likelier)."""
        return options[int(self._unit(purpose) * len(options))]

    def chance(self, purpose: str, probability: float) -> bool:
        return self._unit(purpose) < probability

    def octets(self, purpose: str, count: int) -> bytes:
        """`count` bytes, each uniform in 0..255."""
        return hashlib.shake_128((self._prefix + purpose).encode()).digest(count)
