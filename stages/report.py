"""The run's report: one HTML file that opens from disk and holds its pictures, films, numbers and lineage."""

from pathlib import Path

from sg3x.files.atomic import atomic_write
from sg3x.report.page import page
from sg3x.report.run import folder_reader, load_run
from stages.common import RESULTS, main


def report() -> None:
    run = load_run("this run", folder_reader(Path()))
    title = f"sg3x run report: {run.params['fetch.source']} at {run.params['resolution']} pixels"
    html = page([run], title=title).encode()
    atomic_write(RESULTS / "report.html", html)
    print(f"{RESULTS / 'report.html'}: {len(html) / 1e6:.1f} MB, open it in any browser")


if __name__ == "__main__":
    main(report)
