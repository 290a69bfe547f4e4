"""Features that a run is scored on: Inception's where its file can be had, else those of a fixed random network.

The `reference` stage decides once per data set (`open_extractor`) and writes the decision down; every later score reads
it back (`extractor_from_record`), so that no two numbers of a run come from different networks.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from sg3x.files.download import ChecksumError, DownloadError, download_file, download_path
from sg3x.interop.torchscript import TorchScriptError
from sg3x.metrics.features import inception_jax, inception_torch
from sg3x.metrics.features import random as random_features

Progress = Callable[[int, int], None]
_log = logging.getLogger(__name__)


class FeatureFunction(Protocol):
    def __call__(
        self, images: np.ndarray, *, progress: Progress | None = None, unrounded: bool = False
    ) -> np.ndarray: ...


@dataclass(frozen=True)
class Extractor:
    """A feature extractor and what has to be said about it beside every number.

    Attributes:
        name: "inception-v3-torchscript", "inception-v3-jax" or "random-conv-v1".
        sha256: of the network's file; None for the random network, which is its own definition.
        resize: how a picture becomes the network's input.
        metric: key of the Fréchet distance on these features: "fid" or "frechet_random".
        dimension: D, the number of features.
        compute: the function behind `features`.
    """

    name: str
    sha256: str | None
    resize: str
    metric: str
    dimension: int
    compute: FeatureFunction

    def features(self, images: np.ndarray, *, progress: Progress | None = None) -> np.ndarray:
        """float32[N, D] of uint8[N, R, R, 3]; ``progress`` is called with (images done, N) after every batch."""
        return self.compute(images, progress=progress)

    def unrounded(self, images: np.ndarray) -> np.ndarray:
        """float32[N, D] of float32[N, R, R, 3] in 0..255: for differences that rounding would hide."""
        return self.compute(images, unrounded=True)

    @property
    def suffix(self) -> str:
        """Ends the names of numbers that are not the published metric of that name: "_random", or "" for Inception."""
        return "" if self.metric == "fid" else "_random"

    def record(self) -> dict[str, str | int | None]:
        """Plain JSON from which `extractor_from_record` finds the same extractor again."""
        keys = ("name", "sha256", "resize", "metric", "dimension")
        return {key: getattr(self, key) for key in keys}


def random_extractor() -> Extractor:
    """The fixed random network, which needs no file."""
    r = random_features
    return Extractor(r.NAME, None, r.RESIZE, "frechet_random", r.DIMENSION, r.random_features)


def inception_extractor(path: str | Path, sha256: str | None, param: str = "features.inception_path") -> Extractor:
    """Inception through clean-fid; arguments and errors as `sg3x.metrics.features.inception_torch.load_inception`."""
    network = inception_torch.load_inception(path, sha256, param=param)
    return Extractor(
        inception_torch.NAME, network.sha256, inception_torch.RESIZE, "fid", inception_torch.DIMENSION, network
    )


def jax_inception_extractor(path: str | Path, sha256: str | None, param: str = "features.inception_path") -> Extractor:
    """The same file in JAX, without torch; arguments and errors as `sg3x.metrics.features.inception_jax.load_jax_inception`."""
    network = inception_jax.load_jax_inception(path, sha256, param=param)
    return Extractor(inception_jax.NAME, network.sha256, inception_torch.RESIZE, "fid", network.dimension, network)


def inception_file(
    path: str | Path | None, url: str | None, sha256: str | None, downloads: Path
) -> tuple[Path, str | None, str]:
    """Path of the Inception file, its wanted sha256, and the parameter that says so; downloads it if need be.

    Raises:
        ValueError: neither path nor URL is given.
        DownloadError, ChecksumError: as the names say.
    """
    if path:
        return Path(path), sha256, "features.inception_path"
    if not url:
        raise ValueError(
            f"the reference features are Inception's (sha256 {sha256}), but features.inception_path "
            "and features.inception_url are both null: set the first to that file, or run the reference stage again"
        )
    target = download_path(downloads, url)
    found = download_file(
        url,
        target,
        sha256=sha256,
        what="Inception weights",
        param="features.inception_path",
        sha256_param="features.inception_sha256",
    )
    return target, found, "features.inception_url"


def _best_inception(path: Path, sha256: str | None, param: str) -> Extractor:
    """By the file's own code where torch and clean-fid are, else in JAX."""
    try:
        return inception_extractor(path, sha256, param)
    except inception_torch.MissingPackagesError as error:
        _log.warning(
            "%s\nInception runs in JAX instead (extractor %s): the same weights and resize, read without running the file's "
            "code. Its numbers name that extractor; docs/metrics.md says what that means.",
            error, inception_jax.NAME,
        )  # fmt: skip
        return jax_inception_extractor(path, sha256, param)


def open_extractor(
    *,
    inception_path: str | Path | None,
    inception_url: str | None,
    inception_sha256: str | None,
    downloads: Path,
) -> Extractor:
    """The extractor that the parameters ask for, or the best that can be had.

    A path is an order: no such file or another sha256 is an error. A URL is a wish: where the file cannot be had or
    used, a warning says so and the random network takes its place. Neither: random network. Inception runs by the file's own
    code where torch and clean-fid are installed; where they are not, in JAX, under a name of its own.

    Args:
        inception_path: the Inception TorchScript file, or None.
        inception_url: where to download it from (only when there is no path), or None.
        inception_sha256: what the file must have; None accepts any (and the record holds what it was).
        downloads: folder for the downloaded file.

    Raises:
        ValueError: the file at the path is missing, or not the one that is wanted.
        TorchScriptError: (a ValueError) torch is not installed, and the file is not Inception as JAX needs it.
        ChecksumError: the file arrived from the URL, but is not the one that is wanted.
    """
    if not inception_path and not inception_url:
        return random_extractor()
    try:
        return _best_inception(*inception_file(inception_path, inception_url, inception_sha256, downloads))
    except ChecksumError:
        raise
    except (DownloadError, TorchScriptError) as error:
        if inception_path:
            raise
        _warn_of_random(str(error))
        return random_extractor()


def extractor_from_record(
    record: dict[str, str | int | None],
    *,
    inception_path: str | Path | None,
    inception_url: str | None,
    downloads: Path,
) -> Extractor:
    """The extractor that the reference features were computed with, never another.

    Args:
        record: what `Extractor.record` gave when the reference features were computed.
        inception_path, inception_url, downloads: as for `open_extractor`.

    Raises:
        ValueError: if that extractor cannot be had from the parameters, or is unknown to this version.
        MissingPackagesError: it is the file's own code, and torch or clean-fid is not installed.
        DownloadError: as the name says.
    """
    openers = {inception_torch.NAME: inception_extractor, inception_jax.NAME: jax_inception_extractor}
    if record.get("name") == random_features.NAME:
        found = random_extractor()
    elif record.get("name") not in openers:
        known = ", ".join(repr(name) for name in (*openers, random_features.NAME))
        raise ValueError(
            f"the reference features are of the extractor {record.get('name')!r}; this version knows {known}"
        )
    else:
        where = inception_file(inception_path, inception_url, str(record["sha256"]), downloads)
        try:
            found = openers[str(record["name"])](*where)
        except inception_torch.MissingPackagesError as error:
            raise inception_torch.MissingPackagesError(
                f"{error} (the reference features were computed with them; without, run the reference stage again "
                f"and Inception runs in JAX, as extractor {inception_jax.NAME})"
            ) from error
    if found.record() != record:
        raise ValueError(
            f"the reference features are of {record}, this is {found.record()}: run the reference stage again"
        )
    return found


def _warn_of_random(reason: str) -> None:
    line = "=" * 100
    _log.warning(
        "%s\nNO FID: %s\nScores of this run are frechet_random, a Fréchet distance on features of a fixed random "
        "network (%s).\nThey rank models of one data set; they are not FIDs and must not be compared with any.\n%s",
        line, reason, random_features.NAME, line,
    )  # fmt: skip
