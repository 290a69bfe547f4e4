"""The report is one file that needs nothing else, says everything there is, and is the same bytes every time."""

import base64
import io
import re
from html.parser import HTMLParser

import pytest
from PIL import Image

from sg3x.report.definitions import GROUPS
from sg3x.report.numbers import shown
from sg3x.report.page import page
from sg3x.report.run import RunError, folder_reader, load_run
from tests.report.conftest import METRICS, PARAMS, write_run

VOID = {"meta", "img", "link", "br", "hr", "input"}


class Checked(HTMLParser):
    """Follows the tags; keeps every address and all text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open, self.addresses, self.text = [], [], ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)
        self.addresses += [value for key, value in attrs if key in ("src", "href", "poster")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def report(folder, name="this run") -> str:
    return page([load_run(name, folder_reader(folder))], title="a run")


def test_well_formed_and_self_contained(run_folder):
    html = report(run_folder)
    found = Checked(html)
    assert found.open == [] and len(found.addresses) == 3
    assert all(address.startswith("data:") for address in found.addresses)
    assert not re.search(r"https?://|<script|@import|url\(", html)


def test_the_same_bytes_every_time(run_folder):
    assert report(run_folder) == report(run_folder)


def test_every_number_that_was_measured_is_shown_with_its_error(run_folder):
    text = Checked(report(run_folder)).text
    for key in ("frechet_random", "kernel_random", "coverage_random", "eq_t", "neighbour_ratio_random"):
        assert key in text and shown(METRICS[key]) in text
    assert "9.5 ± 0.1" in text and "41.25 dB" in text and "200 samples" in text
    assert "PPL" not in text.replace("not a PPL", "") and "eq_r" not in text


def test_caveats_and_lineage_are_said(run_folder):
    html = report(run_folder)
    text = Checked(html).text
    assert "There is no FID here" in text and "few <samples>" in text and "<samples>" not in html
    for value in (
        "models/imported, sha256 " + "8" * 64,
        "checkpoint 0, sha256" + "9" * 64,
        "d" * 64,
        "1" * 64,
        "2" * 64,
        "e" * 64,
        "segment 10 → 20 kimg",
        "r1_gamma",
        "0.02",
    ):
        assert value in text


def test_fid_is_only_what_inception_scored(tmp_path):
    assert "There is no FID" in Checked(report(write_run(tmp_path))).text
    write_run(tmp_path, fid=12.0, extractor="inception-v3-torchscript")
    run = load_run("x", folder_reader(tmp_path))
    for key in ("frechet_random", "kernel_random"):
        del run.metrics[key]
    assert "There is no FID" not in page([run], title="t") and "12" in page([run], title="t")


def test_large_pictures_become_webp_and_small_ones_stay(run_folder):
    addresses = Checked(report(run_folder)).addresses
    kinds = [address.split(";")[0] for address in addresses]
    assert kinds == ["data:image/png", "data:video/mp4", "data:image/webp"]
    with Image.open(io.BytesIO(base64.b64decode(addresses[2].split(",")[1]))) as image:
        assert image.size == (300, 300)


def compared(tmp_path, params=PARAMS, **metrics) -> tuple[str, Checked]:
    """The page of METRICS as run a beside METRICS with some changed as run b."""
    write_run(tmp_path / "a")
    write_run(tmp_path / "b", params, **metrics)
    html = page([load_run(n, folder_reader(tmp_path / n)) for n in "ab"], title="a and b")
    return html, Checked(html)


def difference(html: str, key: str) -> str:
    """What the table says of run b against run a."""
    row = next(row for row in html.split("<tr>") if f"<code>{key}</code>" in row)
    return Checked(row.split("</td>")[2] + "</td>").text if "<td" in row else ""


def test_two_runs_with_their_difference(tmp_path):
    html, found = compared(tmp_path, PARAMS.replace("0.02", "1.0"), frechet_random=8.5, kernel_random=0.011, eq_t=42.0,
                           coverage_random=0.7)  # fmt: skip
    assert found.open == [] and len(found.addresses) == 6
    assert difference(html, "frechet_random") == "-1 better"
    assert difference(html, "kernel_random") == "+0.001 within the error"
    assert difference(html, "coverage_random") == "+0.2" and difference(html, "eq_t") == "+0.75 dB"  # errors unknown
    assert "different data" not in found.text and "different numbers" not in found.text
    differing = html[html.index('id="params"') : html.index("<details")]
    assert "r1_gamma" in differing and "resolution" not in differing


@pytest.mark.parametrize(
    ("changed", "said"),
    [({"dataset_fingerprint": "f" * 64}, "different data"), ({"extractor": "another"}, "different features")],
)
def test_numbers_of_other_data_or_features_are_not_subtracted(tmp_path, changed, said):
    html, found = compared(tmp_path, frechet_random=8.5, kernel_random=0.5, coverage_random=0.7, eq_t=42.0, **changed)
    assert (
        said in found.text
        and "better" not in found.text.replace("is better", "")
        and "worse" not in found.text.replace("score worse", "")
    )
    for key in ("frechet_random", "kernel_random", "coverage_random"):
        assert difference(html, key) == "–"
    assert difference(html, "eq_t") == "+0.75 dB"  # needs neither


def test_numbers_of_other_counts_are_not_judged(tmp_path):
    html, found = compared(tmp_path, frechet_random=8.5, num_fake=100)
    assert "different numbers of samples" in found.text and difference(html, "frechet_random") == "-1"


def test_an_fid_is_never_under_one_name_with_a_random_distance(tmp_path):
    inception = {"fid": 12.0, "coverage": 0.75, "extractor": "inception-v3-torchscript"}
    html, _ = compared(tmp_path, **inception, frechet_random=None, coverage_random=None)
    cards = [Checked(card.split("</div>")[0]).text for card in html.split('<div class="card">')[1:]]
    assert [card[: card.index(",")] for card in cards[:2]] == ["How good?–12FID", "How good?9.5 ± 0.1–Fréchet distance"]
    for key in ("fid", "frechet_random", "coverage", "coverage_random"):
        assert difference(html, key) == "–"


def test_caveats_name_the_runs_they_are_of(tmp_path):
    _, found = compared(tmp_path, fid=12.0, caveat="of b alone")
    assert "a: There is no FID here" in found.text and "a: few <samples>." in found.text
    assert "b: of b alone." in found.text


def test_mirror_images_are_not_counted_as_pictures(tmp_path):
    assert "400 real pictures, mirror images counted" in Checked(report(write_run(tmp_path))).text
    text = Checked(report(write_run(tmp_path, num_pictures=200))).text
    assert text.count("200 real pictures and their mirror images") == 2
    assert "400 real pictures" not in text and "and their mirror" not in Checked(
        report(write_run(tmp_path, num_pictures=400))
    ).text  # fmt: skip


def test_runs_of_before_are_read_too(tmp_path):
    """Without checkpoint 0, and with the first 16 digits of the others."""
    folder = write_run(tmp_path, model_sha256="e" * 16)
    (folder / "results" / "segments" / "0.json").unlink()
    text = Checked(report(folder)).text
    assert "checkpoint 0" not in text and "generator, weights, sha256 begins" + "e" * 16 in text


def test_what_a_run_lacks_is_left_out_or_said(tmp_path):
    write_run(tmp_path / "a")
    write_run(tmp_path / "b")
    for name in "ab":
        (tmp_path / name / "results" / "walk.mp4").unlink()
    (tmp_path / "b" / "results" / "samples.png").unlink()
    html = page([load_run(n, folder_reader(tmp_path / n)) for n in "ab"], title="t")
    assert "<video" not in html and html.count("This run has none") == 1


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [("params.yaml", None, "has no params.yaml"), ("results/metrics.json", None, "dvc repro"),
     ("results/metrics.json", "{", "damaged"), ("params.yaml", "a: [", "damaged")],
)  # fmt: skip
def test_a_missing_or_damaged_run_is_one_message(run_folder, name, content, message):
    (run_folder / name).unlink() if content is None else (run_folder / name).write_text(content)
    with pytest.raises(RunError, match=message):
        report(run_folder)


def test_no_key_or_label_has_two_meanings():
    metrics = [metric for _, metrics in GROUPS for metric in metrics]
    assert len({metric.key for metric in metrics}) == len({metric.label for metric in metrics}) == len(metrics)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (12345.678, "12346"), (9.42776, "9.428"), (2e-5, "2e-05"), (-0.5, "-0.5"), (1e6, "1e+06")],
)
def test_numbers_read_well(value, text):
    assert shown(value) == text
