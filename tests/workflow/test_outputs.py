"""Every stage that writes a folder replaces what it wrote itself, and nothing else."""

import pytest

from sg3x.data import fetch, prepare
from sg3x.files.atomic import atomic_folder
from sg3x.metrics import score
from sg3x.networks import store
from sg3x.training.run import checkpoints
from stages import figures, generate

WRITERS = {
    "fetch": (fetch.FETCHED, ["train/cat/1.png", "source.json"]),
    "fetch of toy cats": (fetch.FETCHED, ["train/cat/1.png", "attributes.json"]),
    "prepare": (prepare._MADE, ["images.npy", "index.csv", "dataset.json"]),
    "reference": (score._MADE, ["features.npy", "reference.json"]),
    "checkpoints": (checkpoints.MADE, ["state/a/0", "meta.json", "history.tsv", "manifest.json"]),
    "export": (store.NETWORK, ["generator.safetensors", "config.json"]),
    "generate": (generate.MADE, ["seed00001.png", "seed00002.png"]),
    "generate as one array": (generate.MADE, ["samples.npy"]),
    "figures": (figures.MADE, ["walks.mp4", "mixing.png"]),
}
CONTENT = {"config.json": '{"format": 1, "generator": {}}'}


@pytest.mark.parametrize("made, names", WRITERS.values(), ids=WRITERS)
def test_a_stage_replaces_its_own_output_and_nothing_else(tmp_path, made, names):
    out = tmp_path / "out"
    for name in names:
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_text(CONTENT.get(name, "x"))
    (out / "thesis.txt").write_text("precious")
    with pytest.raises(ValueError, match=r"holds thesis\.txt: nothing was replaced"):
        atomic_folder(out, made).__enter__()
    assert (out / "thesis.txt").read_text() == "precious"
    (out / "thesis.txt").unlink()
    with atomic_folder(out, made) as folder:
        (folder / "new").touch()
    assert [path.name for path in out.iterdir()] == ["new"]
