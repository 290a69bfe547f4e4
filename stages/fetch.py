"""Raw pictures in AFHQv2's layout: data/raw/train/<class>/*."""

from pathlib import Path
from typing import Any

from sg3x.config import stage_params
from sg3x.config.sections import Fetch
from sg3x.data.fetch import FETCHED, fetch_path, fetch_zip_url
from sg3x.data.raw import check_handed_over, check_nothing_of_the_users, read_record
from sg3x.data.toycats import write_toycats
from sg3x.data.watched import linked_folders, locate, watch
from sg3x.files.atomic import atomic_folder
from stages.common import DOWNLOADS, RAW, main, progress

SOURCE = Path("data/source")  # what DVC watches: see sg3x/data/watched.py
MOST_NAMED = 10


def fetch() -> None:
    params = stage_params("fetch").fetch
    check_nothing_of_the_users(RAW)
    source = _source_of_the_users(params)
    _watch(source)
    if params.source == "toycats":
        _draw(params)
        return
    if params.source == "path" and source is not None:
        about = fetch_path(source, RAW, picture_class=params.picture_class, max_gb=params.max_gb)
    else:
        about = fetch_zip_url(
            params.url or "",
            RAW,
            sha256=params.sha256,
            picture_class=params.picture_class,
            local_zip=source,
            downloads=DOWNLOADS,
            max_gb=params.max_gb,
            progress=progress("bytes downloaded"),
        )
    _say(about)


def _source_of_the_users(params: Fetch) -> Path | None:
    """The folder or zip that the pictures come from, when it is one of the user's."""
    if params.source == "path" and params.path is not None:
        return locate(params.path, "fetch.path")
    if params.source == "afhqv2" and params.zip is not None:
        return locate(params.zip, "fetch.zip")
    return None


def _watch(source: Path | None) -> None:
    reason = watch(SOURCE, source)
    if reason is not None:
        print(
            f"warning: DVC cannot watch {source}: {reason}. Until that is mended and `dvc repro -f fetch` run, changes of "
            "the pictures are not noticed"
        )
    for folder in linked_folders(source) if source is not None and reason is None else ():
        print(f"warning: {folder} in {source} is a link to a folder: its pictures are taken, but DVC does not watch it")


def _draw(params: Fetch) -> None:
    with atomic_folder(RAW, FETCHED) as folder:
        write_toycats(
            folder, count=params.count, size=params.size, seed=params.seed, progress=progress("toy cats drawn")
        )
        check_handed_over(folder)
        if (drawn := len(read_record(folder)["files"])) != params.count:
            raise RuntimeError(f"{drawn} toy cats are drawn, but fetch.count is {params.count}: run the stage again")
    print(f"{params.count} toy cats in {RAW}")


def _say(about: dict[str, Any]) -> None:
    left_out = about["left_out"]
    print("fetched", {key: value for key, value in about.items() if key not in ("files", "left_out")})
    if left_out["count"]:
        print(f"left out: {left_out['count']} of {left_out['count'] + about['pictures']} files")
        for entry in left_out["files"][:MOST_NAMED]:
            print(f"  {entry['file']}: {entry['reason']}")
        if len(left_out["files"]) > MOST_NAMED:
            print(f"  and so on: all are in {RAW / 'source.json'}")


if __name__ == "__main__":
    main(fetch)
