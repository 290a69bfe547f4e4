"""Training curves as a PNG: losses and signs from the history, scores of every segment."""

import json

from sg3x.config import stage_params
from sg3x.files.atomic import atomic_write
from sg3x.files.tables import format_tsv, parse_tsv
from sg3x.render.curves import KERNELS, plot_curves
from stages.common import RESULTS, main


def curves() -> None:
    params = stage_params("curves")
    history = parse_tsv((RESULTS / "history.tsv").read_text())
    ends = sorted(params.segments, key=int)
    scores = [json.loads((RESULTS / "segments" / f"{end}.json").read_text()) for end in ends]
    name = "fid" if "fid" in scores[-1] else "frechet_random"
    columns = [key for key in (name, f"{name}_stderr", KERNELS[name], f"{KERNELS[name]}_stderr") if key in scores[-1]]
    # `score` is the same number under one name whatever the extractor: dvc.yaml's plots need a fixed column.
    rows = [
        {"kimg": f"{s['kimg']:g}", "score": f"{s[name]:.7g}", **{key: f"{s[key]:.7g}" for key in columns}}
        for s in scores
    ]
    atomic_write(RESULTS / "scores.tsv", format_tsv(rows).encode())
    plot_curves(RESULTS / "curves.png", history, scores, score_name=name)


if __name__ == "__main__":
    main(curves)
