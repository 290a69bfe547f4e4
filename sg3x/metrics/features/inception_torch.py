"""Inception features by clean-fid's own path: its resize, its wrapper around NVIDIA's TorchScript file, its arithmetic.

Parmar et al. 2022, "On aliased resizing and surprising subtleties in GAN evaluation". Only clean-fid's ``resize`` and
``inception_torchscript`` are used, which need torch but not torchvision; its own folder functions keep the network in
``/tmp``, statistics in site-packages, and download at first use. torch and clean-fid are imported on first use.
"""

# pyright: reportMissingImports=false
from __future__ import annotations

import logging
import os
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from sg3x.files.fingerprint import hash_file
from sg3x.metrics.features.random import check_images

NAME = "inception-v3-torchscript"
RESIZE = "clean-fid clean (PIL bicubic to 299, not quantized)"
DIMENSION = 2048

INSTALL = "pip install -c constraints.txt -e '.[fid]'"

_FILE_IN_CLEANFID = "inception-2015-12-05.pt"
_BATCH = 32
_log = logging.getLogger(__name__)


class MissingPackagesError(ImportError):
    """torch or clean-fid is not installed; the message says how to install them."""


class InceptionFeatures:
    """Callable that turns pictures into Inception's 2048 pooled features, as clean-fid computes them.

    Attributes:
        sha256: of the TorchScript file.
        device: "cpu" or "cuda".
    """

    def __init__(self, network: Any, resize: Callable[[np.ndarray], np.ndarray], sha256: str, device: str):
        self._network = network
        self._resize = resize
        self.sha256 = sha256
        self.device = device

    def __call__(
        self, images: np.ndarray, *, progress: Callable[[int, int], None] | None = None, unrounded: bool = False
    ) -> np.ndarray:
        """Features of pictures.

        Args:
            images: uint8[N, R, R, 3], array or memory map.
            progress: called with (images done, N) after every batch.
            unrounded: the pictures are float32 in 0..255 instead.

        Returns:
            float32[N, 2048].

        Raises:
            ValueError: if ``images`` is of another type or shape.
        """
        check_images(images, dtype=np.float32 if unrounded else np.uint8)
        rows = []
        for start in range(0, len(images), _BATCH):
            resized = [self._resize(np.asarray(image)) for image in images[start : start + _BATCH]]
            rows.append(self._features(np.stack(resized)))
            if progress is not None:
                progress(start + len(resized), len(images))
        return np.concatenate(rows)

    def _features(self, resized: np.ndarray) -> np.ndarray:
        """float32[B <= _BATCH, 299, 299, 3] in 0..255 -> float32[B, 2048]."""
        import torch

        count = len(resized)
        # Always a full batch: the kernels torch picks depend on its size, and with them the last bits of a row.
        batch = np.pad(resized, [(0, _BATCH - count), (0, 0), (0, 0), (0, 0)])
        channels_first = np.ascontiguousarray(batch.transpose(0, 3, 1, 2))
        with torch.no_grad():
            features = self._network(torch.from_numpy(channels_first).to(self.device))
        return features.cpu().numpy()[:count].astype(np.float32, copy=False)


def require_packages() -> None:
    """Raises MissingPackagesError unless torch and clean-fid can be imported."""
    try:
        import cleanfid.inception_torchscript
        import cleanfid.resize  # noqa: F401
    except ImportError as error:
        raise MissingPackagesError(f"FID needs torch and clean-fid ({error}). Install them: {INSTALL}") from error


def checked_file(path: str | os.PathLike[str], sha256: str | None, param: str) -> str:
    """The sha256 of the file at `path`.

    Raises:
        ValueError: there is no file, or its sha256 is not the one that is wanted; `param` is the key of params.yaml that
            the path comes from.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(
            f"{param} is {str(path)!r}, where there is no file; allowed is an Inception TorchScript file, or null"
        )
    found = hash_file(path)
    if sha256 and found != sha256.lower():
        raise ValueError(
            f"{param} {str(path)!r} has sha256 {found}, but {sha256.lower()} is wanted (features.inception_sha256)"
        )
    if not sha256:
        _log.warning("the sha256 of %s is not checked (features.inception_sha256 is null); it is %s", path, found)
    return found


def load_inception(
    path: str | os.PathLike[str],
    sha256: str | None = None,
    *,
    param: str = "features.inception_path",
    device: str | None = None,
) -> InceptionFeatures:
    """Opens the Inception TorchScript file at any path, as clean-fid would.

    Args:
        path: the file (``inception-2015-12-05.pt`` at NVIDIA), wherever it lies and whatever it is called.
        sha256: what the file must have; None accepts any, and is logged.
        param: key of params.yaml that the path comes from, named in messages.
        device: "cpu" or "cuda"; None takes CUDA where there is one.

    Raises:
        MissingPackagesError: if torch or clean-fid is not installed.
        ValueError: if there is no such file, its sha256 is another one, or it is no such network.
    """
    found = checked_file(path, sha256, param)
    require_packages()
    import torch
    from cleanfid.resize import build_resizer

    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    return InceptionFeatures(
        _open_as_cleanfid(Path(path), param).to(device).eval(), build_resizer("clean"), found, device
    )


def _open_as_cleanfid(path: Path, param: str) -> Any:
    """clean-fid's `InceptionV3W` around the file; it takes a folder and fixes the name, so it is shown a link."""
    from cleanfid.inception_torchscript import InceptionV3W

    with tempfile.TemporaryDirectory() as folder:
        os.symlink(path.resolve(), Path(folder, _FILE_IN_CLEANFID))
        try:
            with warnings.catch_warnings():
                # The file is TorchScript and nothing else can open it.
                warnings.filterwarnings("ignore", message=".torch.jit", category=DeprecationWarning)
                return InceptionV3W(folder, download=False, resize_inside=False)
        except (RuntimeError, AttributeError) as error:
            reason = str(error).strip().splitlines()[0]
            raise ValueError(
                f"{param} {str(path)!r} is not Inception as TorchScript with `layers`: {reason}"
            ) from error
