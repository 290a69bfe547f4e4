"""The interface of a generator to pictures, films and metrics."""

from __future__ import annotations

from typing import Any, Protocol

from sg3x.networks import GeneratorConfig


class Drawable(Protocol):
    """A `Generator`, the same on several devices, or the same without filters: arrays in, arrays out."""

    @property
    def config(self) -> GeneratorConfig: ...

    @property
    def z_dim(self) -> int: ...

    @property
    def resolution(self) -> int: ...

    @property
    def w_avg(self) -> Any:
        """float32[w_dim]"""

    @property
    def mapping(self) -> Any:
        """(z[N, z_dim], labels or None, truncation_psi, truncation_cutoff) -> ws float32[N, num_ws, w_dim]."""

    @property
    def synthesis(self) -> Any:
        """(ws, transform) -> pictures float32[N, R, R, channels], about -1..1."""

    def __call__(
        self, z: Any, c: Any = None, truncation_psi: float = 1.0, truncation_cutoff: int | None = None
    ) -> Any: ...
