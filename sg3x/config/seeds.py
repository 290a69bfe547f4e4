"""Every latent is that of a seed up to 2^32 - 1: which seeds the stages derive from those that params.yaml names."""

from __future__ import annotations

from typing import Any

LAST_SEED = 2**32 - 1
MOVED_AT_ONCE = 16  # pictures; equivariance_samples is rounded up to whole batches of them
MIXED_SEEDS = 100  # figures: the columns of the mixing sheet are the seeds, this much further on,
LOOPS, LOOP_SEEDS = 8, 3  # and so many walks go through so many seeds each, from the first on


def last_seeds(params: Any) -> dict[str, tuple[int, str]]:
    """For each use of seeds: the last one, and which keys of params.yaml it comes from."""
    generate, evaluate, run = params.generate, params.evaluate, params.run
    moved = -(-evaluate.equivariance_samples // MOVED_AT_ONCE) * MOVED_AT_ONCE

    def counted(key: str, first: int, number: int, of: str) -> tuple[int, str]:
        return first + number - 1, f"{key}={first} with {of} ({number} seeds)"

    found = {
        "samples": counted("generate.first_seed", generate.first_seed, generate.num_samples, "generate.num_samples"),
        "grids": counted(
            "generate.first_seed", generate.first_seed, generate.grid_columns * generate.grid_rows,
            "generate.grid_columns * generate.grid_rows",
        ),
        "scores": counted("evaluate.first_seed", evaluate.first_seed, evaluate.num_samples, "evaluate.num_samples"),
        "equivariance": counted(
            "evaluate.first_seed", evaluate.first_seed, moved, f"evaluate.equivariance_samples in batches of {MOVED_AT_ONCE}"
        ),
        "path lengths": counted(
            "evaluate.first_seed", evaluate.first_seed, 2 * evaluate.path_samples, "2 * evaluate.path_samples"
        ),
        "mixing": (max(params.figures.seeds) + MIXED_SEEDS, f"figures.seeds, {MIXED_SEEDS} further on"),
        "walks": counted("figures.seeds[0]", params.figures.seeds[0], LOOPS * LOOP_SEEDS, "walks of the figures stage"),
    }  # fmt: skip
    if run.fid_every_kimg is not None:
        found["scores while training"] = counted(
            "evaluate.first_seed", evaluate.first_seed, run.fid_samples, "run.fid_samples"
        )
    return found


def check_seeds(params: Any) -> None:
    """Raises ValueError, with a line for each use whose last seed is beyond the last there is."""
    beyond = [
        f"{source} would reach {last} ({use})" for use, (last, source) in last_seeds(params).items() if last > LAST_SEED
    ]
    if beyond:
        raise ValueError(f"seeds go up to {LAST_SEED} (2^32 - 1): " + "; ".join(beyond))
