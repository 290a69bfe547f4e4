"""Sample pictures of the final model, and a grid of them."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from sg3x.config import stage_params
from sg3x.drawing.pictures import sample_images
from sg3x.files.atomic import Made, atomic_folder, check_count
from sg3x.networks.store import load_generator
from sg3x.render.images import save_png
from sg3x.render.sampling import sample_grid
from stages.common import MODEL, RESULTS, SAMPLES, main, progress, set_up_jax

MADE = Made("what the generate stage wrote", ("seed*.png", "samples.npy"))


def generate() -> None:
    params = stage_params("generate").generate
    set_up_jax()
    generator = load_generator(MODEL)
    psi, cutoff = params.truncation_psi, params.truncation_cutoff
    seeds = range(params.first_seed, params.first_seed + params.num_samples)
    report = progress("samples drawn")
    batches = sample_images(generator, seeds, batch=params.batch_size, truncation_psi=psi, truncation_cutoff=cutoff)
    with atomic_folder(SAMPLES, MADE) as folder:
        write = _write_array if params.format == "npy" else _write_pngs
        for done in write(folder, seeds, batches):
            report(done, len(seeds))
        check_count(folder, "*", 1 if params.format == "npy" else params.num_samples, "files")
    grid = sample_grid(
        generator, first_seed=params.first_seed, columns=params.grid_columns, rows=params.grid_rows,
        enlarge_to=params.grid_size, batch=params.batch_size, truncation_psi=psi, truncation_cutoff=cutoff,
    )  # fmt: skip
    save_png(RESULTS / "samples.png", grid)
    print(f"{len(seeds)} samples in {SAMPLES}, a grid of them in {RESULTS / 'samples.png'}")


def _write_pngs(folder: Path, seeds: range, batches: Iterator[np.ndarray]) -> Iterator[int]:
    """One file a seed, as the pictures are drawn; yields how many there are."""
    pictures = (picture for batch in batches for picture in batch)
    for done, (seed, picture) in enumerate(zip(seeds, pictures, strict=True), start=1):
        save_png(folder / f"seed{seed:05d}.png", picture)
        yield done


def _write_array(folder: Path, seeds: range, batches: Iterator[np.ndarray]) -> Iterator[int]:
    """samples.npy, uint8[N, H, W, C], batch by batch: the bytes of `np.save` without the whole array in memory."""
    done = 0
    with open(folder / "samples.npy", "wb") as file:
        for batch in batches:
            if not done:
                header = np.lib.format.header_data_from_array_1_0(batch) | {"shape": (len(seeds), *batch.shape[1:])}
                np.lib.format.write_array_header_1_0(file, header)
            file.write(np.ascontiguousarray(batch).tobytes())
            done += len(batch)
            yield done
    if done != len(seeds):
        raise RuntimeError(f"{done} of {len(seeds)} samples were drawn")


if __name__ == "__main__":
    main(generate)
