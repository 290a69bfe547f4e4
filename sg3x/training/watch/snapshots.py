"""Sample grids during a segment: always the same latents, through the averaged weights."""

from __future__ import annotations

import io
from pathlib import Path

import jax
import numpy as np
from PIL import Image

from sg3x.files.atomic import atomic_write
from sg3x.networks import Generator, Params, bind, definition
from sg3x.training.state import State, TrainConfig

COLUMNS, ROWS = 8, 4


class Snapshots:
    """Compiled here, for one device; the latents are those of seeds 0, 1, 2, ..."""

    def __init__(self, config: TrainConfig, folder: Path, state: State) -> None:
        """`state`: the training state, arrays or shapes."""
        self.folder = folder
        self.z = np.concatenate(
            [np.random.RandomState(seed).randn(1, config.generator.z_dim) for seed in range(COLUMNS * ROWS)]
        ).astype(np.float32)

        defined = definition(Generator, config.generator)

        def sample(g: Params, buffers: Params, z: jax.Array) -> jax.Array:
            generator: Generator = bind(defined, g, buffers)
            return generator(z)

        weights = jax.eval_shape(lambda: (state["g_ema"], state["g_buffers"]))
        self.sample = jax.jit(sample).lower(*weights, np.split(self.z, ROWS)[0]).compile()

    def take(self, state: State, nimg: int) -> np.ndarray:
        """Writes FOLDER/<kimg>.png from a state on the device and returns it, uint8[H, W, C]."""
        weights = jax.device_get((state["g_ema"], state["g_buffers"]))
        with jax.transfer_guard("allow"):
            images = [np.asarray(self.sample(*weights, z)) for z in np.split(self.z, ROWS)]
        pictures = np.clip(np.round(np.stack(images) * 127.5 + 128), 0, 255).astype(np.uint8)
        rows, columns, h, w, c = pictures.shape
        grid = pictures.transpose(0, 2, 1, 3, 4).reshape(rows * h, columns * w, c)
        content = io.BytesIO()
        Image.fromarray(grid[..., 0] if c == 1 else grid).save(content, "png")
        self.folder.mkdir(parents=True, exist_ok=True)
        atomic_write(self.folder / f"{nimg / 1000:010.3f}.png", content.getvalue())
        return grid
