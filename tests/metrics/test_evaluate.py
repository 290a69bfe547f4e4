"""The whole evaluation of a small generator: every number under its honest name, the same bytes every time."""

import json
from dataclasses import replace

import jax
import numpy as np
import pytest

import sg3x.metrics.evaluate as evaluate_module
from sg3x.metrics.distances.memorisation import memorisation
from sg3x.metrics.evaluate import Scoring, evaluate_generator, score_generator
from sg3x.metrics.features.extractor import random_extractor
from sg3x.metrics.score import Reference, compute_reference, save_reference
from sg3x.networks import Generator, GeneratorConfig

SEEDS = range(3, 51)
COUNTS = {"equivariance_samples": 10, "path_samples": 5}


@pytest.fixture(scope="module")
def generator():
    config = GeneratorConfig(
        16, z_dim=4, w_dim=4, num_layers=3, num_critical=1, channel_base=64, channel_max=8, margin_size=2
    )
    return Generator(config, key=jax.random.key(0))


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "reference"
    images = np.random.RandomState(0).randint(0, 256, (20, 16, 16, 3)).astype(np.uint8)
    both = np.concatenate([images, images[:, :, ::-1]])
    save_reference(folder, compute_reference(both, random_extractor(), "f1n9e2", originals=20))
    return folder


@pytest.fixture(scope="module")
def scoring(reference):
    return Scoring.open(reference, seeds=SEEDS, batch=8, downloads=reference)


@pytest.fixture(scope="module")
def evaluation(generator, scoring):
    return evaluate_generator(generator, scoring, **COUNTS)


def test_every_number_has_the_name_it_deserves(evaluation):
    numbers = {key for key, value in evaluation.metrics.items() if isinstance(value, float)}
    assert numbers == {
        "frechet_random", "frechet_random_stderr", "kernel_random", "kernel_random_stderr", "precision_random",
        "recall_random", "density_random", "coverage_random", "authenticity_random", "neighbour_ratio_random",
        "path_length_random", "eq_t", "eq_t_frac", "eq_t_plain", "spectrum_error_db", "spectrum_high_db",
    }  # fmt: skip
    assert all(np.isfinite(evaluation.metrics[key]) for key in numbers)


def test_what_has_to_be_known_stands_beside_them(evaluation):
    known = {
        "num_fake": 48,
        "num_real": 40,
        "num_pictures": 20,
        "num_paths": 5,
        "num_equivariance": 16,
        "first_seed": 3,
    }
    known |= {"extractor": "random-conv-v1", "dataset_fingerprint": "f1n9e2"}
    assert known.items() <= evaluation.metrics.items()
    caveat = evaluation.metrics["caveat"]
    assert "48 generated and 40 real images for 256 features" in caveat and "20 images are few" in caveat


def test_the_score_of_a_segment_is_the_evaluations(generator, scoring, evaluation):
    seen = []
    found = score_generator(generator, scoring, progress=lambda done, total: seen.append((done, total)))
    assert found["frechet_random"] == evaluation.metrics["frechet_random"]
    assert found["kernel_random"] == evaluation.metrics["kernel_random"]
    assert seen == [(done, 48) for done in range(8, 49, 8)]


def test_batches_score_as_the_whole(generator, scoring):
    """Seven at a time, the last batch not full: the same pictures, to rounding."""
    whole, cut = (score_generator(generator, replace(scoring, batch=batch)) for batch in (48, 7))
    assert cut["num_fake"] == whole["num_fake"] == 48
    assert cut["frechet_random"] == pytest.approx(whole["frechet_random"], rel=1e-3)


def test_the_same_bytes_every_time(generator, scoring, evaluation):
    again = evaluate_generator(generator, scoring, **COUNTS)
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


def test_mirror_images_do_not_lower_a_perfect_models_coverage():
    """A perfect model's is 1 - 2^-5 with as many samples as pictures; 0.87 if their mirror images were counted."""
    draws = [np.random.default_rng(seed).standard_normal((2000, 4)) for seed in (0, 1, 2)]
    reference = Reference(np.concatenate(draws[:2]).astype(np.float32), {}, "x", 2000, np.ones(8))
    found = memorisation(reference.features, draws[2], originals=2000)
    manifolds = evaluate_module._manifolds(reference, draws[2], found, "_random")
    assert manifolds["coverage_random"] == pytest.approx(1 - 2**-5, abs=0.02)
    assert manifolds["density_random"] == pytest.approx(1.0, abs=0.05)


def test_duplicates_among_the_pictures_cost_one_number_not_the_evaluation(generator, scoring):
    twice = np.concatenate([scoring.reference.features[:20]] * 2)
    doubled = replace(scoring, reference=replace(scoring.reference, features=twice, originals=40), seeds=range(8))
    found = evaluate_generator(generator, doubled, **COUNTS).metrics
    assert "neighbour_ratio_random" not in found and "authenticity_random" in found and "eq_t" in found
    assert "no neighbour ratio" in found["caveat"]


def test_too_few_samples_are_refused_before_anything_is_drawn(scoring):
    with pytest.raises(ValueError, match=r"3 samples \(evaluate.num_samples\) and 20 pictures; allowed are 4"):
        evaluate_generator(None, replace(scoring, seeds=range(3)), **COUNTS)


def test_equivariance_does_not_hang_on_the_batch_of_samples(generator, scoring, evaluation):
    other = evaluate_generator(generator, replace(scoring, batch=4), **COUNTS).metrics
    for key in ("eq_t", "eq_t_frac", "eq_t_plain"):
        assert other[key] == evaluation.metrics[key]
