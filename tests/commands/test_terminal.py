"""What commands print: never cut, no markup of a path, no stranger's escapes, any encoding; an interruption is one line."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import sg3x
from sg3x.cli import app
from sg3x.commands import errors
from sg3x.render import seeds as drawing

PICKLE = Path(__file__).parents[1] / "golden" / "tiny_t32.pkl"
HOSTILE = "\x1b]0;owned\x07\x9b2J\u202e"


def run(*arguments, code=0, **env):
    result = CliRunner().invoke(app, [str(a) for a in arguments], env=env)
    assert result.exit_code == code, result.output
    return result.output


@pytest.fixture(scope="module")
def imported(tmp_path_factory):
    out = tmp_path_factory.mktemp("import") / "imported"
    run("import-nvidia", PICKLE, out)
    return out


@pytest.mark.parametrize("columns", ["20", "80", "200"])
def test_info_is_never_cut(imported, columns):
    text = run("info", imported, COLUMNS=columns)
    assert "…" not in text and "parameters" in text and "33,016" in text and "12/12" in text


@pytest.mark.parametrize("name", ["exp[v2]", "a[/b]", "[bold]x", "[link=http://x]", "a\\[b]", ":smile:"])
def test_brackets_of_a_path_are_no_markup(imported, tmp_path, name):
    place = tmp_path / name
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(imported)
    assert run("info", place).startswith(f"{place}: StyleGAN3-T")


@pytest.mark.parametrize("key", ["source", "caption"])
def test_a_models_description_cannot_command_the_terminal(imported, tmp_path, key):
    place = tmp_path / "m"
    place.mkdir()
    for file in imported.iterdir():
        (place / file.name).symlink_to(file)
    config = json.loads((imported / "config.json").read_text())
    about = next(value for value in config.values() if isinstance(value, dict) and "source" in value)
    about[key] = f"x{HOSTILE}\nkind: forged https://me:pass@host/"
    (place / "config.json").unlink()
    (place / "config.json").write_text(json.dumps(config))
    result = CliRunner().invoke(app, ["info", str(place)])
    assert all(letter.isprintable() or letter == "\n" for letter in result.output)
    assert "\nkind: forged" not in result.output and "pass@" not in result.output


def test_nor_can_what_an_error_quotes(tmp_path):
    name = tmp_path / f"m{HOSTILE}"
    text = run("info", name, code=1)
    assert "does not exist" in text and all(letter.isprintable() or letter == "\n" for letter in text)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
@pytest.mark.parametrize("arguments", [["info", PICKLE], ["--help"], ["check", "nothing→.yaml"], ["info", "no→thing"]])
def test_no_encoding_stops_a_command(monkeypatch, encoding, arguments):
    done = CliRunner(charset=encoding).invoke(app, [str(a) for a in arguments])
    assert done.output and not isinstance(done.exception, UnicodeError)


def test_an_interruption_says_how_far_it_came(imported, tmp_path, monkeypatch):
    def interrupted(*_, **__):
        yield from np.zeros((2, 4, 4, 3), np.uint8)
        raise KeyboardInterrupt

    monkeypatch.setattr(drawing, "draw_rows", interrupted)
    text = run("generate", imported, "--seeds", "0-7", "--out", tmp_path / "x", code=errors.INTERRUPTED)
    assert text.strip() == f"interrupted: 2 of 8 pictures are drawn, in {tmp_path / 'x'}"


def test_an_interruption_names_the_command_and_its_file(monkeypatch, tmp_path):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("sg3x.loading.kind_of", stop)
    assert run("info", tmp_path, code=errors.INTERRUPTED).strip() == f"interrupted: sg3x info {tmp_path}"


@pytest.mark.parametrize(("error", "said"), [
    (MemoryError(), "x: there is not enough memory for it"),
    (RecursionError("maximum"), "x: it is nested too deeply"),
    (UnicodeDecodeError("utf-8", b"ab\xe9", 2, 3, "invalid"), "x: text that is not UTF-8 (byte 0xe9 at 2)"),
    (ValueError(), "x: ValueError"),
    (ValueError("in words"), "in words"),
])  # fmt: skip
def test_an_error_without_words_gets_some(error, said):
    assert errors.explain(error, "x").startswith(said)


def test_a_file_of_another_encoding_is_named(tmp_path, monkeypatch):
    from sg3x.commands import info

    def read(path):
        (tmp_path / "history.tsv").write_bytes(b"\xe9")
        (tmp_path / "history.tsv").read_text(encoding="utf-8")

    monkeypatch.setattr(info, "_open", read)
    text = run("info", tmp_path, code=1)
    assert text.startswith(f"error: {tmp_path}: text that is not UTF-8") and len(text.splitlines()) == 1


def test_the_version_is_the_packages():
    assert run("--version").strip() == f"sg3x {sg3x.__version__}"


def test_a_stage_interrupted_while_it_imports_is_one_line():
    code = "import stages\nraise KeyboardInterrupt"
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    assert done.stderr.strip() == "interrupted before the stage began: nothing was changed"
    assert done.returncode in (130, -2)


@pytest.mark.parametrize("arguments", [["info", "--help"], ["info", PICKLE]])
def test_colours_of_our_own_reach_a_terminal(arguments):
    done = CliRunner().invoke(app, [str(a) for a in arguments], env={"FORCE_COLOR": "1", "TERM": "xterm"}, color=True)
    assert "\x1b[1m" in done.output and "\\x1b" not in done.output
