"""Tables of text cells as TSV: the training history, the scores of every segment."""

from __future__ import annotations

import csv

Rows = list[dict[str, str]]


def format_tsv(rows: Rows) -> str:
    """TSV with a header; every row has the columns of the first. No rows: no text."""
    if not rows:
        return ""
    columns = list(rows[0])
    return "\n".join(["\t".join(columns), *("\t".join(row[c] for c in columns) for row in rows)]) + "\n"


def parse_tsv(text: str) -> Rows:
    """Rows of a text by `format_tsv`."""
    return list(csv.DictReader(text.splitlines(), delimiter="\t"))
