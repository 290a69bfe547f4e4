"""A run of strangers: no leaf of its files is markup on the page, and whatever is odd is one message that names the file."""

import copy
import io
import json
import re
import shutil
import subprocess

import pytest
import yaml
from PIL import Image
from typer.testing import CliRunner

from sg3x.cli import app
from sg3x.report import media
from sg3x.report.compare import compare
from sg3x.report.page import page
from sg3x.report.run import RunError, folder_reader, load_run
from tests.report.conftest import METRICS, PARAMS, write_run
from tests.report.test_page import Checked

MARKUP = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'&amp;{{ 1 / 0 }}"  # evaluated, it raises
ALLOWED = {  # every tag and attribute that the templates have
    "html": {"lang"}, "head": set(), "meta": {"charset", "name", "content", "http-equiv"}, "title": set(), "style": set(),
    "body": {"class"}, "main": set(), "header": set(), "h1": set(), "h2": set(), "h3": {"class"}, "p": {"class"},
    "ul": {"class"}, "li": set(), "b": {"class"}, "i": set(), "div": {"class"}, "span": {"class"}, "aside": set(),
    "section": {"id"}, "figure": set(), "figcaption": {"class"}, "img": {"src", "alt"}, "table": {"class"},
    "video": {"src", "autoplay", "muted", "loop", "playsinline", "controls"}, "tr": {"class"}, "th": {"class", "colspan"},
    "td": {"class"}, "code": set(), "details": {"open"}, "summary": set(), "footer": set(),
}  # fmt: skip


class Tags(Checked):
    """Holds every tag to those of the templates."""

    def handle_starttag(self, tag, attrs):
        assert tag in ALLOWED and {name for name, _ in attrs} <= ALLOWED[tag], (tag, attrs)
        super().handle_starttag(tag, attrs)


def leaves(values, path=()):
    """The path of every leaf, and of every mapping with a key more."""
    for key, value in values.items() if isinstance(values, dict) else enumerate(values):
        if isinstance(value, dict | list):
            yield from leaves(value, (*path, key))
        else:
            yield (*path, key)
    if isinstance(values, dict):
        yield (*path, MARKUP)


def changed(values, path, leaf=MARKUP):
    found = copy.deepcopy(values)
    place = found
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = leaf
    return found


ALL_METRICS = METRICS | dict.fromkeys(
    ("num_pictures", "num_equivariance", "num_paths", "extractor_sha256", "fid", "eq_t_stderr", "ppl"), 1.5
)
START = {"init_from": "a", "init_sha256": "b", "checkpoint_sha256": "c", "kimg": 0.0}
HISTORY = {"kimg": 1.0, "loss_g": 2.0, "warning": ""}


def every_leaf():
    params = yaml.safe_load(PARAMS) | {"walk": {"seeds": [1, 2]}, "flag": True, "nothing": None}
    for path in leaves(params):
        yield "params.yaml", yaml.safe_dump(changed(params, path), width=1000)
    for path in leaves(ALL_METRICS):
        yield "results/metrics.json", json.dumps(changed(ALL_METRICS, path))
    for path in leaves(START):
        yield "results/segments/0.json", json.dumps(changed(START, path))
        yield "results/segments/10.json", json.dumps(changed(START, path))
    for path in leaves(HISTORY):
        row = changed(HISTORY, path)
        yield "results/history.tsv", "\t".join(map(str, row)) + "\n" + "\t".join(map(str, row.values())) + "\n"


@pytest.fixture
def two_runs(tmp_path, monkeypatch):
    """A folder with the runs a and b, which have no pictures: nothing to encode."""
    for name in "ab":
        shutil.rmtree(write_run(tmp_path / name) / "results" / "figures")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def is_clean(html):
    found = Tags(html)
    assert found.open == [] and "<script" not in html
    assert all(address.startswith("data:") for address in found.addresses)


@pytest.mark.parametrize(("name", "content"), list(every_leaf()))
def test_no_leaf_is_markup(two_runs, name, content):
    (two_runs / "b" / name).write_text(content)
    try:
        is_clean(compare("a", "b", two_runs))
        is_clean(page([load_run("b", folder_reader(two_runs / "b"))], title="b"))
    except RunError as error:  # segments that are none
        assert name in str(error)


def test_names_are_not_markup(tmp_path):
    name = MARKUP.replace("/", "|")
    write_run(tmp_path / name)
    html = compare(str(tmp_path / name), str(tmp_path / name), tmp_path)
    is_clean(html)
    assert "&lt;script&gt;" in html


def test_nothing_of_the_page_may_run_at_all(run_folder):
    html = page([load_run("x", folder_reader(run_folder))], title="t")
    assert 'http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; media-src data:;' in html


def test_a_password_in_a_parameter_is_not_shown(run_folder):
    (run_folder / "params.yaml").write_text(PARAMS.replace("toycats", "afhqv2, url: 'https://me:pass@host/x.zip'"))
    html = page([load_run("x", folder_reader(run_folder))], title="t")
    assert "pass@" not in html and "https://***@host/x.zip" in html


DEEP = "[" * 1500 + "]" * 1500
ODD = {
    "a list": "[]", "nothing": "null", "a word": '"x"', "a number": "3", "deep": DEEP, "deeper": '{"fid": ' + DEEP + "}",
    "half": "{", "empty": "", "not UTF-8": b'{"a": "\xe9"}', "a number of 5,000 digits": '{"fid": ' + "9" * 5000 + "}",
}  # fmt: skip


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("name", ["results/metrics.json", "results/segments/0.json", "results/segments/10.json", "params.yaml",
                                  "dvc.lock"])  # fmt: skip
def test_an_odd_file_is_one_message_that_names_it(tmp_path, name, odd):
    folder = write_run(tmp_path / "run")
    content = ODD[odd]
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    done = CliRunner().invoke(app, ["compare", str(folder), str(folder), "--out", str(tmp_path / "x.html")])
    if odd == "a number of 5,000 digits" and name in ("params.yaml", "dvc.lock") and done.exit_code == 0:
        return  # YAML's reader may take it for what it is: a number
    assert done.exit_code == 1 and done.exception.__class__ is SystemExit
    assert name in done.output and len(done.output.splitlines()) == 1, done.output


@pytest.mark.parametrize("value", [None, True, [], {}, "x", 1e999, float("nan"), 10**400, "\ud800", [[1]]])
@pytest.mark.parametrize(
    "key", ["fid", "frechet_random_stderr", "num_fake", "num_pictures", "dataset_fingerprint", "caveat"]
)
def test_an_odd_value_is_shown_and_nothing_breaks(two_runs, key, value):
    (two_runs / "b" / "results" / "metrics.json").write_text(json.dumps(METRICS | {key: value}))
    is_clean(compare("a", "b", two_runs))


def test_a_few_lines_of_aliases_are_refused(run_folder):
    bomb = "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12))
    (run_folder / "params.yaml").write_text(PARAMS + bomb)
    with pytest.raises(RunError, match="params.yaml is damaged: .*aliases"):
        load_run("x", folder_reader(run_folder))


def test_segments_cannot_name_other_files(run_folder):
    (run_folder / "params.yaml").write_text(PARAMS.replace("'10'", "'../../../10'"))
    with pytest.raises(RunError, match="segments must be"):
        load_run("x", folder_reader(run_folder))


def postscript():
    return b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n" + b"%" * 200_000


def gif():
    content = io.BytesIO()
    Image.new("P", (4, 4)).save(content, "GIF")
    return content.getvalue() + bytes(200_000)


@pytest.mark.parametrize("content", [postscript(), gif(), b"\x89PNG\r\n\x1a\n" + bytes(200_000), bytes(200_000)])
def test_a_picture_is_a_png_or_refused_by_name(run_folder, monkeypatch, content):
    def no_program(*_, **__):
        raise AssertionError("a program was started")

    monkeypatch.setattr(subprocess, "Popen", no_program)
    (run_folder / "results" / "samples.png").write_bytes(content)
    with pytest.raises(ValueError, match=r"results/samples\.png is damaged, or no PNG"):
        page([load_run("x", folder_reader(run_folder))], title="t")


def test_a_picture_too_large_for_webp_stays_a_png(monkeypatch):
    monkeypatch.setattr(media, "_PHOTO_BYTES", 10)
    content = io.BytesIO()
    Image.new("L", (16384, 2)).save(content, "PNG")
    assert media.data_uri("a.png", content.getvalue()).startswith("data:image/png")


def test_compare_in_a_subfolder_is_of_the_project(tmp_path, monkeypatch):
    project = write_run(tmp_path / "project")
    for arguments in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-qm", "first"]):
        identity = ("-c", "user.name=test", "-c", "user.email=test@example.com")
        subprocess.run(["git", *identity, *arguments], cwd=project, check=True)
    (project / "deep" / "er").mkdir(parents=True)
    monkeypatch.chdir(project / "deep" / "er")
    done = CliRunner().invoke(app, ["compare", "main"])
    assert done.exit_code == 0, done.output
    assert re.search(r"git commit</th><td><code>[0-9a-f]{40}", (project / "deep" / "er" / "compare.html").read_text())
