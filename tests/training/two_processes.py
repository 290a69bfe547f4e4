"""Run by test_processes.py, once or as several processes: one tiny segment, whose checkpoint is compared."""

import sys
from pathlib import Path

import numpy as np

from sg3x.networks import DiscriminatorConfig, GeneratorConfig
from sg3x.training.checkpoints import save_checkpoint
from sg3x.training.loop import Segment, run_segment
from sg3x.training.processes import is_first, join
from sg3x.training.state import TrainConfig, init_state

G = GeneratorConfig(16, z_dim=4, w_dim=4, num_layers=2, num_critical=1, channel_base=32, channel_max=4, margin_size=1)
D = DiscriminatorConfig(16, channel_base=32, channel_max=4, mbstd_group_size=2)


def main(folder: Path, deterministic: bool, end: int = 1) -> None:
    join()
    config = TrainConfig(G, D, batch_size=8, r1_gamma=1.0)
    images = np.random.RandomState(0).randint(0, 256, (40, 16, 16, 3), np.uint8)
    parent = folder / "0"
    if is_first():
        meta = {"generator": G.to_dict(), "discriminator": D.to_dict(), "nimg": 0}
        save_checkpoint(parent, init_state(G, D, 0), meta, [])
    segment = Segment(
        parent, folder / str(end), end, folder / "scratch", log_kimg=0.1, deterministic=deterministic,
        checkpoint_kimg=0.2,
    )  # fmt: skip
    run_segment(config, segment, images, "data")


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), sys.argv[2] == "deterministic", int(sys.argv[3]) if len(sys.argv) > 3 else 1)
    except KeyboardInterrupt as stopped:
        print(stopped, flush=True)
        sys.exit(130)
