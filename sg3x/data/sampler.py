"""The array's rows in each batch: a pure function of (seed, image counter), so a resumed run cannot drift."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np


class Sampler:
    """Endless shuffled passes over `num_rows` rows, addressed by how many images were shown before.

    Pass e is a permutation drawn from (seed, e) alone; image i of the run is entry i mod num_rows of pass i // num_rows.
    """

    def __init__(self, num_rows: int, seed: int) -> None:
        if num_rows < 1:
            raise ValueError("the training array has no rows: run the prepare stage on at least one picture")
        self.num_rows, self.seed = num_rows, seed
        self._permutations: dict[int, np.ndarray] = {}

    def _permutation(self, epoch: int) -> np.ndarray:
        if epoch not in self._permutations:
            self._permutations = {e: p for e, p in self._permutations.items() if e == epoch - 1}
            generator = np.random.Generator(np.random.Philox(key=np.array([self.seed, epoch], np.uint64)))
            self._permutations[epoch] = generator.permutation(self.num_rows)
        return self._permutations[epoch]

    def rows(self, image_counter: int, count: int) -> np.ndarray:
        """Row numbers int64[count] of images image_counter .. image_counter + count - 1."""
        positions = image_counter + np.arange(count)
        epochs = positions // self.num_rows
        found = [self._permutation(int(e))[positions[epochs == e] % self.num_rows] for e in np.unique(epochs)]
        return np.concatenate(found)


class BatchReader:
    """Reads batches from a memory-mapped array, the next one in the background.

    `rows(sampler, image_counter)` says which rows, in any shape: of a whole batch, or of this process's part of it.
    """

    def __init__(
        self,
        array: np.ndarray,
        sampler: Sampler,
        batch_size: int,
        rows: Callable[[Sampler, int], np.ndarray] | None = None,
    ) -> None:
        self.array, self.sampler, self.batch_size = array, sampler, batch_size
        self.rows = rows or (lambda sampler, image_counter: sampler.rows(image_counter, batch_size))
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="batches")
        self._ahead: tuple[int, Future[np.ndarray]] | None = None

    def _load(self, image_counter: int) -> np.ndarray:
        wanted = self.rows(self.sampler, image_counter)
        rows = wanted.reshape(-1)
        order = np.argsort(rows, kind="stable")  # the disk likes rising offsets
        batch = np.empty((rows.size, *self.array.shape[1:]), self.array.dtype)
        batch[order] = self.array[rows[order]]
        return batch.reshape(*wanted.shape, *self.array.shape[1:])

    def read(self, image_counter: int) -> np.ndarray:
        """uint8[rows' shape, R, R, C] of the images that follow the first `image_counter` ones."""
        if self._ahead is not None and self._ahead[0] == image_counter:
            batch = self._ahead[1].result()
        else:
            batch = self._load(image_counter)
        following = image_counter + self.batch_size
        self._ahead = (following, self._pool.submit(self._load, following))
        return batch

    def close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
