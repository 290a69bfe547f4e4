"""`sg3x runs`: what another terminal sees of a running segment."""

import json
import os
import subprocess
import sys

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
