"""Training curves as a PNG: losses and signs from the history, scores of every segment."""

import json

from sg3x.config import stage_params
from sg3x.files.atomic import atomic_write
from sg3x.files.tables import format_tsv, parse_tsv
from sg3x.render.curves import KERNELS, plot_curves
from stages.common import RESULTS, main

FACTS = ("num_fake", "num_real", "first_seed", "extractor", "reference")


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
    quality = [
        row
        for end in chain(params.segments, params.total_kimg)
        for row in parse_tsv((RESULTS / "quality" / f"{end}.tsv").read_text())
        if row.get(name)  # another extractor's numbers are none of this curve
    ]
    named = [
        {"kimg": row["kimg"], "score": row[name], name: row[name], **{k: row[k] for k in FACTS}} for row in quality
    ]
    atomic_write(RESULTS / "quality.tsv", (format_tsv(named) or "kimg\tscore\n").encode())
    plot_curves(RESULTS / "curves.png", history, scores, quality, score_name=name)


def chain(segments: dict[str, int], end: int) -> list[str]:
    """The segments that lead to `end`, first to last."""
    found = [str(end)]
    while start := segments[found[0]]:
        found.insert(0, str(start))
    return found


if __name__ == "__main__":
    main(curves)
