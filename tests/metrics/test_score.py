"""A score says what it is a score of; the reference folder is the same bytes at any time."""

import json
import time

import numpy as np
import pytest

from sg3x.metrics.distances.frechet import feature_statistics, frechet_distance
from sg3x.metrics.distances.uncertainty import kernel_estimate
from sg3x.metrics.evaluate import Scoring
from sg3x.metrics.features.extractor import Extractor
from sg3x.metrics.score import Reference, compute_reference, load_reference, save_reference, score_features


def mean_colours(images, *, progress=None):
    """Twelve features: the mean colour of each quarter of the picture."""
    half = images.shape[1] // 2
    quarters = images.reshape(len(images), 2, half, 2, half, 3).mean(axis=(2, 4), dtype=np.float64)
    if progress is not None:
        progress(len(images), len(images))
    return quarters.reshape(len(images), 12).astype(np.float32)


def extractor(**changed) -> Extractor:
    about = {"name": "colours", "sha256": None, "resize": "none", "metric": "frechet_random", "dimension": 12}
    return Extractor(**(about | changed), compute=mean_colours)


def pictures(count: int, seed: int) -> np.ndarray:
    return np.random.RandomState(seed).randint(0, 256, (count, 8, 8, 3)).astype(np.uint8)


def score(fake, reference):
    return score_features(mean_colours(fake), reference)


@pytest.fixture
def reference():
    return compute_reference(pictures(60, 0), extractor(), "f1n9e2")


def test_the_number_and_what_must_be_known_of_it(reference):
    fake = pictures(40, 1)
    statistics = (*feature_statistics(mean_colours(pictures(60, 0))), *feature_statistics(mean_colours(fake)))
    found = score(fake, reference)
    assert found.pop("frechet_random") == pytest.approx(frechet_distance(*statistics), rel=1e-6)
    assert found.pop("kernel_random") == pytest.approx(
        kernel_estimate(mean_colours(pictures(60, 0)), mean_colours(fake))[0]
    )
    assert found.pop("frechet_random_stderr") > 0 and found.pop("kernel_random_stderr") > 0
    assert found == {
        "num_fake": 40,
        "num_real": 60,
        "num_pictures": 60,
        "extractor": "colours",
        "resize": "none",
        "dataset_fingerprint": "f1n9e2",
    }


def test_only_inception_scores_are_called_fid():
    inception = extractor(metric="fid", sha256="a" * 64)
    found = score(pictures(40, 1), compute_reference(pictures(60, 0), inception, "x"))
    assert {"fid", "kid"} <= found.keys() and not any("random" in key for key in found)
    assert "published FIDs" in found["caveat"]
    assert found["extractor_sha256"] == "a" * 64


def test_the_real_images_themselves_score_zero(reference):
    assert score(pictures(60, 0), reference)["frechet_random"] < 1e-8


@pytest.mark.parametrize(
    ("fake", "real", "said"), [(12, 60, "12 generated images"), (40, 9, "9 real"), (5, 6, "5 generated and 6 real")]
)
def test_too_few_images_are_said(fake, real, said):
    few = compute_reference(pictures(real, 0), extractor(), "x")
    assert score(pictures(fake, 1), few)["caveat"].startswith(said)


def test_flat_json_of_plain_numbers(reference):
    found = score(pictures(40, 1), reference)
    assert json.loads(json.dumps(found)) == found
    assert len(f"{found['frechet_random']:.17g}".rstrip("0")) <= 18 and found["frechet_random"] == float(
        f"{found['frechet_random']:.7g}"
    )


def test_another_extractor_than_the_references_is_refused(reference):
    with pytest.raises(ValueError, match="no score"):
        Scoring(reference, extractor(name="others"), range(40), 8)


@pytest.mark.parametrize("count", [0, 1])
def test_no_score_of_fewer_than_two_images(count, reference):
    with pytest.raises(ValueError, match=r"generated images \(evaluate.num_samples\)"):
        score(pictures(count, 0), reference)


def test_reference_round_trip_with_the_same_bytes_at_another_time(reference, tmp_path):
    save_reference(tmp_path / "a", reference)
    time.sleep(2.1)  # zip files count time in steps of two seconds
    save_reference(tmp_path / "b", reference)
    content = [{f.name: f.read_bytes() for f in (tmp_path / name).iterdir()} for name in "ab"]
    assert content[0] == content[1] and sorted(content[0]) == ["features.npy", "reference.json"]
    loaded = load_reference(tmp_path / "a")
    np.testing.assert_array_equal(loaded.features, reference.features)
    assert (loaded.extractor, loaded.dataset_fingerprint) == (reference.extractor, "f1n9e2")
    assert loaded.originals == 60
    np.testing.assert_allclose(loaded.spectrum, reference.spectrum, rtol=1e-6)
    assert score_features(mean_colours(pictures(40, 1)), loaded) == score(pictures(40, 1), reference)


def test_a_saved_reference_replaces_the_old_one_whole(reference, tmp_path):
    save_reference(tmp_path / "out", reference)
    save_reference(tmp_path / "out", Reference(reference.features[:5], reference.extractor, "new", 5, np.empty(0)))
    assert sorted(f.name for f in (tmp_path / "out").iterdir()) == ["features.npy", "reference.json"]
    assert load_reference(tmp_path / "out").dataset_fingerprint == "new"


def test_a_broken_reference_is_named(reference, tmp_path):
    with pytest.raises(ValueError, match="holds no reference features"):
        load_reference(tmp_path / "nowhere")
    save_reference(tmp_path / "out", reference)
    np.save(tmp_path / "out" / "features.npy", reference.features[:7])
    with pytest.raises(ValueError, match=r"holds features \(7, 12\)"):
        load_reference(tmp_path / "out")
