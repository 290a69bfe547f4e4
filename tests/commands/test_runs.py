"""`sg3x runs`: what another terminal sees of a running segment."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sg3x.cli import app
from sg3x.commands.runs import is_trainer, unfinished

SAID = {
    "kimg": "4.096", "loss_g": "0.9", "loss_d": "1.1", "real_sign": "0.3", "ada_p": "0.1", "warning": "", "end_kimg": 10,
    "images_per_s": 40.0, "eta_s": 148, "out": "checkpoints/10", "state": "training", "phases": {"step": 0.98, "data": 0.02},
}  # fmt: skip


def write(scratch, pid, **more):
    folder = scratch / "0123456789abcdef"
    (folder / "nimg-000000004000").mkdir(parents=True)
    (folder / "progress.json").write_text(json.dumps({**SAID, "pid": pid, **more}))


def test_a_running_segment(tmp_path):
    trainer = subprocess.Popen(
        [sys.executable, "-c", "import sys; print(flush=True); sys.stdin.read()", "stages.train"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert trainer.stdout is not None
    trainer.stdout.readline()  # Linux shows no command line while a program is being started
    try:
        write(tmp_path, trainer.pid)
        (run,) = unfinished(tmp_path)
        assert run["running"] and run["saved_kimg"] == 4.0 and run["saved_age_s"] < 60
        shown = CliRunner().invoke(app, ["runs", "--scratch", str(tmp_path)]).stdout
        assert "4.096 / 10" in shown
    finally:
        trainer.communicate()


def test_a_stopped_one_says_how_to_go_on_as_json_too(tmp_path):
    write(tmp_path, 2**22 - 7)
    found = json.loads(CliRunner().invoke(app, ["runs", "--scratch", str(tmp_path), "--json"]).stdout)
    assert found[0]["running"] is False and found[0]["kimg"] == "4.096"


def test_another_program_under_the_same_number_is_no_trainer():
    assert not is_trainer(os.getpid()) or "stages.train" in " ".join(sys.argv)


def test_before_the_first_row_and_with_none(tmp_path):
    assert "no unfinished segment" in CliRunner().invoke(app, ["runs", "--scratch", str(tmp_path)]).stdout
    folder = tmp_path / "a"
    folder.mkdir()
    early = {"kimg": "0.000", "end_kimg": 10, "pid": 2**22 - 7, "out": "checkpoints/10", "state": "compiling"}
    (folder / "progress.json").write_text(json.dumps(early))
    assert "stopped" in CliRunner().invoke(app, ["runs", "--scratch", str(tmp_path)]).stdout


# What may stand in progress.json, and what is said of it; a new kind is one more line.
ODD = {
    "[]": "Input should be an object", "null": "Input should be an object", "{": "Invalid JSON", "": "Invalid JSON",
    "{}": "pid: Field required", "\x00": "Invalid JSON", "[" * 100_000: "Invalid JSON",
    json.dumps({**SAID, "pid": "1"}): "pid: Input should be a valid integer",
    json.dumps({**SAID, "pid": 1, "phases": []}): "phases: Input should be an object",
    json.dumps({**SAID, "pid": 1, "eta_s": "soon"}): "eta_s: Input should be a valid number",
    json.dumps({**SAID, "pid": 1, "eta_s": float("nan")}): "eta_s: Input should be a finite number",
    json.dumps({**SAID, "pid": 1, "kimg": None}): "kimg: Input should be a valid string",
}  # fmt: skip


@pytest.mark.parametrize("text", ODD, ids=lambda text: text[:30])
def test_an_odd_file_is_named_with_what_is_wrong_and_hides_no_other(tmp_path, text):
    write(tmp_path, 2**22 - 7)
    for name in ("odd", "folder"):
        (tmp_path / name).mkdir()
    (tmp_path / "odd" / "progress.json").write_text(text)
    (tmp_path / "folder" / "progress.json").mkdir()
    shown = CliRunner().invoke(app, ["runs", "--scratch", str(tmp_path)])
    assert shown.exit_code == 0 and "4.096 / 10" in shown.stdout
    damaged = {Path(run["scratch"]).name: run["damaged"] for run in unfinished(tmp_path) if "damaged" in run}
    assert ODD[text] in damaged["odd"] and "Is a directory" in damaged["folder"]


def test_stray_folders_brackets_and_terminal_escapes_are_shown_as_they_are(tmp_path):
    scratch = tmp_path / "exp[v2]" / "a[/b]"
    write(scratch, 2**22 - 7, out="\x1b[31mred", warning="[bold]")
    (scratch / "0123456789abcdef" / "nimg-old").mkdir()
    shown = CliRunner().invoke(app, ["runs", "--scratch", str(scratch)]).stdout
    assert "\x1b" not in shown and "?[31mred" in shown.replace("\n", "") and "[bold]" in shown
    assert unfinished(scratch)[0]["saved_kimg"] == 4.0
    empty = CliRunner().invoke(app, ["runs", "--scratch", str(tmp_path / "no[/b]")])
    assert empty.exit_code == 0 and "no[/b]" in empty.stdout.replace("\n", "")
