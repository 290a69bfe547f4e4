"""What measures the samples while a segment trains: the reference's extractor, or a clear refusal."""

from dataclasses import replace

import numpy as np
import pytest

from sg3x.metrics.devices import split_over_devices
from sg3x.metrics.distances.frechet import feature_statistics, frechet_distance
from sg3x.metrics.during_training import UnfitReferenceError, open_during_training
from sg3x.metrics.features import inception_jax
from sg3x.metrics.features import random as random_features
from sg3x.metrics.features.extractor import Extractor, random_extractor
from sg3x.metrics.score import compute_reference, load_reference, save_reference

PICTURES = np.random.RandomState(0).randint(0, 256, (40, 16, 16, 3), np.uint8)
SAMPLES = np.random.RandomState(1).uniform(-1.1, 1.1, (50, 16, 16, 3)).astype(np.float32)


def opened(folder, tmp_path, **changed):
    nothing = {"inception_path": None, "inception_url": None, "downloads": tmp_path}
    return open_during_training(
        folder, PICTURES, "data", **({"every_kimg": 4.0, "num_samples": 50, "first_seed": 7} | nothing | changed)
    )


@pytest.fixture
def reference(tmp_path):
    save_reference(tmp_path / "reference", compute_reference(PICTURES, random_extractor(), "data"))
    return tmp_path / "reference"


def test_random_features_over_all_devices_and_their_distance(reference, tmp_path):
    gauge = opened(reference, tmp_path)
    assert (gauge.column, gauge.dimension, gauge.seeds) == ("frechet_random", 256, range(7, 57))
    found = gauge.features(SAMPLES)
    plain = random_extractor().features(np.clip(np.rint(SAMPLES * 127.5 + 128), 0, 255).astype(np.uint8))
    np.testing.assert_allclose(found, plain, atol=1e-5)
    real = load_reference(reference).features
    assert gauge.distance(found) == pytest.approx(
        frechet_distance(*feature_statistics(real), *feature_statistics(plain)), rel=1e-4
    )
    assert len(split_over_devices(random_features.BATCH).device_set) > 1
    with pytest.raises(ValueError, match="NaN or infinite"):
        gauge.features(np.full_like(SAMPLES, np.nan))


def test_a_missing_reference_names_the_parameter_and_the_stage(tmp_path):
    with pytest.raises(UnfitReferenceError, match=r"run\.fid_every_kimg=4 .*dvc repro reference.*fid_every_kimg: null"):
        opened(tmp_path / "nowhere", tmp_path)


def test_a_reference_of_other_pictures_is_refused(reference, tmp_path):
    save_reference(reference, replace(load_reference(reference), dataset_fingerprint="older"))
    with pytest.raises(
        UnfitReferenceError, match="is of the pictures older, training is on data: .*dvc repro reference"
    ):
        opened(reference, tmp_path)


def test_a_reference_of_another_version_is_refused(reference, tmp_path):
    known = load_reference(reference)
    save_reference(reference, replace(known, extractor={**known.extractor, "resize": "another"}))
    with pytest.raises(UnfitReferenceError, match="which this version cannot compute: .*dvc repro reference"):
        opened(reference, tmp_path)


class Features:
    """Instead of Inception: the mean colour and more, times `scale`."""

    dimension = 6

    def __init__(self, scale: float = 1.0) -> None:
        self.sha256, self.scale = "a" * 64, scale

    def __call__(self, images, *, progress=None, unrounded=False):
        x = images.astype(np.float32)
        return self.scale * np.concatenate([x.mean(axis=(1, 2)), x.std(axis=(1, 2))], axis=1)


@pytest.mark.parametrize("name", ["inception-v3-torchscript", "inception-v3-jax"])
def test_inception_runs_in_jax_and_must_give_the_references_features(name, tmp_path, monkeypatch):
    made = Extractor(name, "a" * 64, "clean", "fid", 6, Features())
    folder = tmp_path / "reference"
    save_reference(folder, compute_reference(PICTURES, made, "data"))
    with pytest.raises(ValueError, match="inception_url are both null"):
        opened(folder, tmp_path)
    wanted = []

    def load(path, sha256, param):
        wanted.append((str(path), sha256, param))
        return Features(scale)

    monkeypatch.setattr(inception_jax, "load_jax_inception", load)
    scale = 1 + 5e-4
    gauge = opened(folder, tmp_path, inception_path="inception.pt")
    assert wanted == [("inception.pt", "a" * 64, "features.inception_path")]
    assert (gauge.column, gauge.facts()["extractor"], gauge.facts()["reference"]) == ("fid", "inception-v3-jax", name)
    scale = 1 + 2e-3
    with pytest.raises(ValueError, match=r"differs from the reference's features .* by 0\.002 .*fid_every_kimg: null"):
        opened(folder, tmp_path, inception_path="inception.pt")
