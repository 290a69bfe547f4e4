"""The kimg-0 checkpoint: random weights from the seed, or those of the model that init.from names."""

import json
from typing import Any

from sg3x.config import stage_params
from sg3x.config.sections import RANDOM_WEIGHTS
from sg3x.files.atomic import atomic_write
from sg3x.files.fingerprint import hash_file
from sg3x.training.config import discriminator_config, generator_config
from sg3x.training.errors import explain_write
from sg3x.training.run.checkpoints import save_checkpoint
from sg3x.training.run.transfer import start_from
from sg3x.training.state import init_state
from stages.common import CHECKPOINTS, RESULTS, main


def init() -> None:
    params = stage_params("init")
    generator = generator_config(params.generator, params.resolution, params.activation_dtype)
    discriminator = discriminator_config(params.discriminator, params.resolution, params.activation_dtype)
    meta: dict[str, Any] = {"generator": generator.to_dict(), "discriminator": discriminator.to_dict(), "nimg": 0}
    source = params.init.from_
    if source == RANDOM_WEIGHTS:
        state = init_state(generator, discriminator, params.seed)
    else:
        state, meta["init"] = start_from(source, generator, discriminator, params.seed)
        print(f"weights of {source}, sha256 {meta['init']['sha256']}")
    with explain_write(CHECKPOINTS / "0", in_scratch=False):
        save_checkpoint(CHECKPOINTS / "0", state, meta, [])
    _write_start(source, meta)
    sizes = {name: sum(p.size for p in state[name].values()) for name in ("g", "d")}
    print(f"generator {sizes['g']:,} parameters, discriminator {sizes['d']:,}")


def _write_start(source: str, meta: dict[str, Any]) -> None:
    """Writes the start of the report's lineage, where it does not need the checkpoint."""
    start = {"kimg": 0.0, "init_from": "random weights, by the seed" if source == RANDOM_WEIGHTS else source}
    if "init" in meta:
        start["init_sha256"] = meta["init"]["sha256"]
    start["checkpoint_sha256"] = hash_file(CHECKPOINTS / "0" / "manifest.json")
    (RESULTS / "segments").mkdir(parents=True, exist_ok=True)
    atomic_write(RESULTS / "segments" / "0.json", (json.dumps(start, indent=1) + "\n").encode())


if __name__ == "__main__":
    main(init)
