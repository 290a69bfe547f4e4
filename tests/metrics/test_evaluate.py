"""The whole evaluation of a small generator: every number under its honest name, the same bytes every time."""

import json

import jax
import numpy as np
import pytest

from sg3x.metrics.evaluate import Inception, evaluate_generator, score_generator
from sg3x.metrics.extractor import random_extractor
from sg3x.metrics.score import compute_reference, save_reference
from sg3x.networks import GeneratorConfig
from sg3x.networks.generator import init_generator
from sg3x.networks.model import Generator

COUNTS = {"num_samples": 48, "first_seed": 3, "batch": 8}


@pytest.fixture(scope="module")
def generator():
    config = GeneratorConfig(
        16, z_dim=4, w_dim=4, num_layers=3, num_critical=1, channel_base=64, channel_max=8, margin_size=2
    )
    return Generator(config, *init_generator(jax.random.key(0), config))


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "reference"
    images = np.random.RandomState(0).randint(0, 256, (20, 16, 16, 3)).astype(np.uint8)
    both = np.concatenate([images, images[:, :, ::-1]])
    save_reference(folder, compute_reference(both, random_extractor(), "f1n9e2", originals=20))
    return folder


@pytest.fixture(scope="module")
def evaluation(generator, reference):
    nowhere = Inception(None, None, reference)
    return evaluate_generator(generator, reference, nowhere, **COUNTS, equivariance_samples=10, path_samples=5)


def test_every_number_has_the_name_it_deserves(evaluation):
    numbers = {key for key, value in evaluation.metrics.items() if isinstance(value, float)}
    assert numbers == {
        "frechet_random", "frechet_random_stderr", "kernel_random", "kernel_random_stderr", "precision_random",
        "recall_random", "density_random", "coverage_random", "authenticity_random", "neighbour_ratio_random",
        "path_length_random", "eq_t", "eq_t_frac", "eq_t_plain", "spectrum_error_db", "spectrum_high_db",
    }  # fmt: skip
    assert all(np.isfinite(evaluation.metrics[key]) for key in numbers)


def test_what_has_to_be_known_stands_beside_them(evaluation):
    known = {"num_fake": 48, "num_real": 40, "num_paths": 5, "num_equivariance": 16, "first_seed": 3}
    known |= {"extractor": "random-conv-v1", "dataset_fingerprint": "f1n9e2"}
    assert known.items() <= evaluation.metrics.items()
    caveat = evaluation.metrics["caveat"]
    assert "48 generated and 40 real images for 256 features" in caveat and "40 images are few" in caveat


def test_the_score_of_a_segment_is_the_evaluations(generator, reference, evaluation):
    found = score_generator(generator, reference, Inception(None, None, reference), **COUNTS)
    assert found["frechet_random"] == evaluation.metrics["frechet_random"]
    assert found["kernel_random"] == evaluation.metrics["kernel_random"]


def test_the_same_bytes_every_time(generator, reference, evaluation):
    again = evaluate_generator(
        generator, reference, Inception(None, None, reference), **COUNTS, equivariance_samples=10, path_samples=5
    )
    assert json.dumps([again.metrics, again.neighbours, again.spectrum]) == json.dumps(
        [evaluation.metrics, evaluation.neighbours, evaluation.spectrum]
    )


def test_neighbours_and_spectrum_are_for_the_pictures_to_draw(evaluation):
    assert [entry["seed"] for entry in evaluation.neighbours["first"]] == [3, 4, 5, 6, 7, 8]
    closest = [entry["distances"][0] for entry in evaluation.neighbours["closest"]]
    assert closest == sorted(closest) and all(
        0 <= row < 40 for e in evaluation.neighbours["closest"] for row in e["rows"]
    )
    assert [row["periods"] for row in evaluation.spectrum] == [str(i) for i in range(1, 9)]
