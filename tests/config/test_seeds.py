"""No stage derives a seed that does not exist from the seeds that params.yaml names."""

from pathlib import Path

import pytest

from sg3x.config import ConfigError, load_params, parse_params
from sg3x.config.seeds import LAST_SEED, MOVED_AT_ONCE
from sg3x.metrics.motion.equivariance import BATCH

DEMO = Path(__file__).parents[2] / "presets" / "demo.yaml"

# One use of seeds a line: what to set so that its last seed is LAST_SEED, and the key to move by one.
USES = {
    "samples": ({"generate": {"num_samples": 40, "grid_columns": 1, "grid_rows": 1}}, "generate", 40),
    "grids": ({"generate": {"num_samples": 1, "grid_columns": 7, "grid_rows": 3}}, "generate", 21),
    "scores": ({"evaluate": {"num_samples": 900}}, "evaluate", 900),
    "equivariance": ({"evaluate": {"num_samples": 4, "path_samples": 1, "equivariance_samples": 17}}, "evaluate", 32),
    "path lengths": ({"evaluate": {"num_samples": 4, "path_samples": 400}}, "evaluate", 800),
    "scores while training": ({"evaluate": {"num_samples": 4}, "run": {"fid_every_kimg": 1.0}}, "evaluate", 2000),
    "mixing": ({"figures": {"seeds": [0, None]}}, "figures", 101),
    "walks": (
        {"figures": {"seeds": [None, 0]}},
        "figures",
        101,
    ),  # 24 seeds of the loops, but the mixing sheet reaches further
}


def changed(use: str, beyond: int) -> dict:
    change, section, seeds = USES[use]
    values = load_params(DEMO).model_dump(by_alias=True)
    for key, value in change.items():
        values[key] = {**values[key], **value}
    first = LAST_SEED + 1 - seeds + beyond
    if section == "figures":
        values["figures"]["seeds"] = [first if seed is None else seed for seed in values["figures"]["seeds"]]
    else:
        values[section]["first_seed"] = first
    return values


@pytest.mark.parametrize("use", USES)
def test_the_last_seed_is_taken_and_the_one_after_it_refused_by_name(use):
    parse_params(changed(use, 0))
    with pytest.raises(ConfigError, match=rf"{USES[use][1]}\.\w+.* would reach {LAST_SEED + 1}") as caught:
        parse_params(changed(use, 1))
    assert "seeds go up to 4294967295" in str(caught.value)


def test_the_batch_that_equivariance_is_rounded_up_to_is_the_metrics():
    assert MOVED_AT_ONCE == BATCH
