"""Something due again and again: every so many thousand images, every so many minutes."""

from __future__ import annotations

import time


class Every:
    """`kimg` None: not by images; `minutes` None: not by the clock. It begins at image counter `nimg`, now."""

    def __init__(self, kimg: float | None, nimg: int, minutes: float | None = None) -> None:
        self.kimg, self.minutes = kimg, minutes
        self.done(nimg)

    def due(self, nimg: int) -> bool:
        """True if a multiple of `kimg` was passed, or `minutes` went by, since it was last done."""
        by_clock = self.minutes is not None and time.monotonic() - self.at > self.minutes * 60
        return by_clock or self._passed(nimg) != self.passed

    def done(self, nimg: int) -> None:
        """Marks it as done at this image counter."""
        self.passed, self.at = self._passed(nimg), time.monotonic()

    def _passed(self, nimg: int) -> int:
        return 0 if self.kimg is None else int(nimg / (self.kimg * 1000))
