"""Sample pictures of the final model, and a grid of them."""

import io

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
    look = {"truncation_psi": params.truncation_psi, "truncation_cutoff": params.truncation_cutoff}
    seeds = range(params.first_seed, params.first_seed + params.num_samples)
    report = progress("samples drawn")
    images: list[np.ndarray] = []
    for batch in sample_images(generator, seeds, batch=params.batch_size, **look):
        images.extend(batch)
        report(len(images), len(seeds))
    with atomic_folder(SAMPLES, MADE) as folder:
        if params.format == "npy":
            content = io.BytesIO()
            np.save(content, np.stack(images), allow_pickle=False)
            (folder / "samples.npy").write_bytes(content.getvalue())
        else:
            for seed, image in zip(seeds, images, strict=True):
                save_png(folder / f"seed{seed:05d}.png", image)
            check_count(folder, "*", params.num_samples, "samples")
    grid = sample_grid(
        generator, first_seed=params.first_seed, columns=params.grid_columns, rows=params.grid_rows,
        enlarge_to=params.grid_size, batch=params.batch_size, **look,
    )  # fmt: skip
    save_png(RESULTS / "samples.png", grid)
    print(f"{len(images)} samples in {SAMPLES}, a grid of them in {RESULTS / 'samples.png'}")


if __name__ == "__main__":
    main(generate)
