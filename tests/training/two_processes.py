"""Run by hosts/test_join.py, once or as several processes: one tiny segment, whose checkpoint is compared."""

import sys
from pathlib import Path

import numpy as np

from sg3x.metrics.during_training import DuringTraining, open_during_training
from sg3x.metrics.features.extractor import random_extractor
from sg3x.metrics.score import compute_reference, save_reference
from sg3x.networks import DiscriminatorConfig, GeneratorConfig
from sg3x.training.hosts.join import barrier, is_first, join
from sg3x.training.run.checkpoints import save_checkpoint
from sg3x.training.run.loop import Segment, run_segment
from sg3x.training.state import TrainConfig, init_state

G = GeneratorConfig(16, z_dim=4, w_dim=4, num_layers=2, num_critical=1, channel_base=32, channel_max=4, margin_size=1)
D = DiscriminatorConfig(16, channel_base=32, channel_max=4, mbstd_group_size=2)
STARTED = 600  # images that the parent has behind it: what differs, differs within 50 steps


def main(folder: Path, deterministic: bool, end: int = 1, watched: bool = False) -> None:
    join()
    config = TrainConfig(G, D, batch_size=8, r1_gamma=1.0)
    images = np.random.RandomState(0).randint(0, 256, (40, 16, 16, 3), np.uint8)
    parent = folder / "0"
    if is_first():
        state = init_state(G, D, 0)
        state["nimg"] = state["nimg"] + STARTED
        save_checkpoint(parent, state, {"generator": G.to_dict(), "discriminator": D.to_dict(), "nimg": STARTED}, [])
    segment = Segment(
        parent, folder / str(end), end, folder / "scratch", log_kimg=0.05, deterministic=deterministic,
        checkpoint_kimg=0.1, gauge=gauge(folder, images) if watched else None,
        quality=folder / "quality.tsv" if watched else None,
    )  # fmt: skip
    run_segment(config, segment, images, "data")


def gauge(folder: Path, images: np.ndarray) -> DuringTraining:
    """Measures 11 samples by random features: a number that no 2 or 4 devices share evenly."""
    if is_first():
        save_reference(folder / "reference", compute_reference(images, random_extractor(), "data"))
    barrier("reference")
    return open_during_training(
        folder / "reference", images, "data", every_kimg=0.1, num_samples=11, first_seed=0, inception_path=None,
        inception_url=None, downloads=folder,
    )  # fmt: skip


if __name__ == "__main__":
    try:
        mode, end = sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 1
        main(Path(sys.argv[1]), mode in ("deterministic", "watched"), end, watched=mode == "watched")
    except KeyboardInterrupt as stopped:
        print(stopped, flush=True)
        sys.exit(130)
