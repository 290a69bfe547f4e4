"""Samples measured while a segment trains: every row once, the checkpoint as if nobody had looked."""

import contextlib
from dataclasses import replace

import numpy as np
import pytest

from sg3x.drawing.pictures import sample_images
from sg3x.files.fingerprint import hash_tree
from sg3x.files.tables import parse_tsv
from sg3x.metrics.during_training import open_during_training
from sg3x.metrics.features.extractor import random_extractor
from sg3x.metrics.score import compute_reference, load_reference, save_reference, score_features
from sg3x.training.run.checkpoints import load_averaged, save_checkpoint
from sg3x.training.run.loop import Segment, run_segment
from sg3x.training.state import init_state
from sg3x.training.watch.sample_scores import EMPTY, SampleScores
from tests.training.conftest import CONFIG, PICTURES, D, G
from tests.training.hosts.test_join import finish, start, start_two

SAMPLES, FIRST = 11, 3  # neither a batch nor a multiple of one
KIMG = ["0.256", "0.504", "0.752", "1.000"]


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    folder = tmp_path_factory.mktemp("real") / "reference"
    save_reference(folder, compute_reference(PICTURES, random_extractor(), "data"))
    return folder


@pytest.fixture(scope="module")
def gauge(reference, tmp_path_factory):
    return open_during_training(
        reference, PICTURES, "data", every_kimg=0.25, num_samples=SAMPLES, first_seed=FIRST, inception_path=None,
        inception_url=None, downloads=tmp_path_factory.mktemp("downloads"),
    )  # fmt: skip


@pytest.fixture(scope="module")
def alone(tmp_path_factory) -> Segment:
    """A segment that nobody watched."""
    folder = tmp_path_factory.mktemp("segment")
    meta = {"generator": G.to_dict(), "discriminator": D.to_dict(), "nimg": 0}
    save_checkpoint(folder / "0", init_state(G, D, 0), meta, [])
    segment = Segment(folder / "0", folder / "1", 1, folder / "scratch", log_kimg=0.1, quality=folder / "1.tsv")
    run_segment(CONFIG, segment, PICTURES, "data")
    return segment


@pytest.fixture(scope="module")
def watched(alone, gauge, tmp_path_factory) -> Segment:
    folder = tmp_path_factory.mktemp("watched")
    segment = replace(
        alone, out=folder / "1", scratch_root=folder / "scratch", quality=folder / "quality" / "1.tsv", gauge=gauge,
        tensorboard=str(folder / "board"),
    )  # fmt: skip
    with (folder / "said").open("w") as said, contextlib.redirect_stdout(said):
        run_segment(CONFIG, segment, PICTURES, "data")
    return segment


def test_the_checkpoint_is_the_same_bytes_watched_or_not(alone, watched):
    assert hash_tree(watched.out) == hash_tree(alone.out)
    assert alone.scratch().name == watched.scratch().name, "a run goes on when it is switched on"


def test_a_row_for_every_measurement_under_the_right_name(alone, watched):
    assert alone.quality.read_text() == EMPTY
    rows = parse_tsv(watched.quality.read_text())
    assert [row["kimg"] for row in rows] == KIMG
    names = ["kimg", "frechet_random", "num_fake", "num_real", "first_seed", "extractor", "reference"]
    assert list(rows[0]) == names
    assert list(rows[0].values())[2:] == ["11", "20", "3", "random-conv-v1", "random-conv-v1"]
    assert len({row["frechet_random"] for row in rows}) == len(rows)


def test_at_the_end_it_is_the_score_of_that_checkpoint(watched, reference):
    """What the score stage says, from the same seeds."""
    pictures = sample_images(load_averaged(watched.out)[0], range(FIRST, FIRST + SAMPLES), batch=4)
    features = np.concatenate([random_extractor().features(batch) for batch in pictures])
    expected = score_features(features, load_reference(reference))
    last = parse_tsv(watched.quality.read_text())[-1]
    assert float(last["frechet_random"]) == pytest.approx(expected["frechet_random"], rel=1e-3)


class Killed(BaseException):
    """Nothing catches it, nothing is saved: as after SIGKILL."""


def test_killed_and_resumed_there_is_no_row_too_many_or_too_few(watched, tmp_path, capsys):
    again = replace(
        watched, out=tmp_path / "1", scratch_root=tmp_path / "scratch", quality=tmp_path / "1.tsv", checkpoint_kimg=0.4,
        tensorboard=None,
    )  # fmt: skip
    calls = []

    def measure(features: np.ndarray) -> float:
        calls.append(features)
        # Dies in the second measurement, and later after the third row, of which no checkpoint knows.
        if len(calls) == 2:
            raise Killed
        return watched.gauge.distance(features)

    class Dying:
        """The gauge, but the process dies."""

        def __getattr__(self, name: str):
            return measure if name == "distance" else getattr(watched.gauge, name)

    dying = replace(again, gauge=Dying())
    with pytest.raises(Killed):
        run_segment(CONFIG, dying, PICTURES, "data")
    assert [row["kimg"] for row in parse_tsv((dying.scratch() / "quality.tsv").read_text())] == KIMG[:1]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SampleScores, "write", dies_after_the_row_of("0.752", SampleScores.write))
        with pytest.raises(Killed):
            run_segment(CONFIG, again, PICTURES, "data")
    assert [row["kimg"] for row in parse_tsv((again.scratch() / "quality.tsv").read_text())] == KIMG[:3]
    run_segment(CONFIG, again, PICTURES, "data")
    assert capsys.readouterr().out.count("resuming at") >= 1
    assert again.quality.read_bytes() == watched.quality.read_bytes()
    assert hash_tree(again.out) == hash_tree(watched.out)


def dies_after_the_row_of(kimg: str, write):
    def written(self, path):
        write(self, path)
        if self.rows and self.rows[-1]["kimg"] == kimg:
            raise Killed

    return written


def test_the_progress_line_and_the_event_file_have_it(watched):
    said = (watched.out.parent / "said").read_text()
    lines = [line for line in said.splitlines() if "img/s" in line]
    values = [f"frechet_random {float(row['frechet_random']):.4g} " for row in parse_tsv(watched.quality.read_text())]
    assert "frechet" not in lines[0]
    assert values[0] in lines[2] and values[-1] in lines[-1]
    assert any(b"frechet_random" in file.read_bytes() for file in (watched.out.parent / "board" / "1").glob("events*"))


def test_the_table_of_a_run_that_changed_its_extractor_says_which_is_which(tmp_path, gauge):
    quality = SampleScores(CONFIG, gauge, tmp_path, None, 0)
    quality.rows = [{"kimg": "1.000", "frechet_random": "5"}, {"kimg": "2.000", "fid": "50"}]
    quality.write(tmp_path / "quality.tsv")
    assert parse_tsv((tmp_path / "quality.tsv").read_text()) == [
        {"kimg": "1.000", "frechet_random": "5", "fid": ""},
        {"kimg": "2.000", "frechet_random": "", "fid": "50"},
    ]
    assert quality.latest == {}
    resumed = SampleScores(CONFIG, gauge, tmp_path, None, 1500)
    assert [row["kimg"] for row in resumed.rows] == ["1.000"] and resumed.latest == {"frechet_random": "5"}


@pytest.mark.slow
def test_two_devices_and_two_processes_measure_what_one_does(tmp_path):
    tables = []
    for name, begin in (
        ("one", lambda folder: [start(folder, "watched")]),
        ("two devices", lambda folder: [start(folder, "watched", JAX_NUM_CPU_DEVICES="2")]),
        ("two processes", lambda folder: start_two(folder, "watched")),
    ):
        folder = tmp_path / name
        folder.mkdir()
        finish(*begin(folder))
        tables.append(parse_tsv((folder / "quality.tsv").read_text()))
    one, *others = tables
    assert [row["kimg"] for row in one] == ["0.704", "0.800", "0.904", "1.000"]
    for rows in others:
        assert [row["kimg"] for row in rows] == [row["kimg"] for row in one]
        for row, expected in zip(rows, one, strict=True):
            # The weights differ by rounding from the second step on: see test_join.assert_same_run.
            assert float(row["frechet_random"]) == pytest.approx(float(expected["frechet_random"]), rel=0.02)
