"""The averaged generator as safetensors + JSON, and the whole history, at fixed places."""

from sg3x.config import stage_params
from sg3x.files.atomic import atomic_write
from sg3x.files.tables import format_tsv
from sg3x.networks.store import save_generator
from sg3x.training.run.checkpoints import load_averaged
from stages.common import CHECKPOINTS, MODEL, RESULTS, main


def export() -> None:
    generator, meta, history = load_averaged(CHECKPOINTS / str(stage_params("export").total_kimg))
    about = {"nimg": meta["nimg"], "dataset_fingerprint": meta.get("dataset_fingerprint")}
    save_generator(MODEL, generator, about)
    RESULTS.mkdir(exist_ok=True)
    atomic_write(RESULTS / "history.tsv", format_tsv(history).encode())
    print(f"{MODEL}: the averaged generator after {meta['nimg'] / 1000:g} kimg")


if __name__ == "__main__":
    main(export)
