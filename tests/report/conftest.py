"""A small run's results, made without training."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

PARAMS = """seed: 0
resolution: 32
r1_gamma: 0.02
fetch: {source: toycats}
generator: {config: T}
segments: {'10': 0, '20': 10}
total_kimg: 20
"""
METRICS = {
    "frechet_random": 9.5, "frechet_random_stderr": 0.1, "kernel_random": 0.01, "kernel_random_stderr": 0.002,
    "num_fake": 200, "num_real": 400, "extractor": "random-conv-v1", "resize": "none", "dataset_fingerprint": "d" * 64,
    "coverage_random": 0.5, "eq_t": 41.25, "neighbour_ratio_random": 1.1, "caveat": "few <samples>",
    "model_sha256": "e" * 64,
}  # fmt: skip


def png(side: int = 8, seed: int = 0) -> bytes:
    content = io.BytesIO()
    Image.fromarray(np.random.RandomState(seed).randint(0, 256, (side, side, 3)).astype(np.uint8)).save(content, "PNG")
    return content.getvalue()


def write_run(folder: Path, params: str = PARAMS, **metrics) -> Path:
    """params.yaml and results/ in `folder`."""
    (folder / "results" / "segments").mkdir(parents=True, exist_ok=True)
    (folder / "results" / "figures").mkdir(exist_ok=True)
    (folder / "params.yaml").write_text(params)
    (folder / "results" / "metrics.json").write_text(json.dumps(METRICS | metrics))
    for end in ("10", "20"):
        score = {"kimg": float(end), "checkpoint_sha256": end[0] * 64}
        (folder / "results" / "segments" / f"{end}.json").write_text(json.dumps(score))
    start = {"kimg": 0.0, "init_from": "models/imported", "init_sha256": "8" * 64, "checkpoint_sha256": "9" * 64}
    (folder / "results" / "segments" / "0.json").write_text(json.dumps(start))
    (folder / "results" / "samples.png").write_bytes(png())
    (folder / "results" / "figures" / "neighbours.png").write_bytes(png(300))
    (folder / "results" / "walk.mp4").write_bytes(b"not really a film")
    return folder


@pytest.fixture
def run_folder(tmp_path):
    return write_run(tmp_path / "run")
