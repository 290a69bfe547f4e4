"""Raw pictures in AFHQv2's layout: data/raw/train/<class>/*."""

from pathlib import Path

from sg3x.config import stage_params
from sg3x.data.fetch import FETCHED, fetch_path, fetch_zip_url
from sg3x.data.toycats import write_toycats
from sg3x.files.atomic import atomic_folder, check_count
from stages.common import DOWNLOADS, RAW, main, progress


def fetch() -> None:
    params = stage_params("fetch").fetch
    if params.source == "toycats":
        with atomic_folder(RAW, FETCHED) as folder:
            write_toycats(
                folder, count=params.count, size=params.size, seed=params.seed, progress=progress("toy cats drawn")
            )
            check_count(folder, "train/*/*", params.count, "pictures")
        print(f"{params.count} toy cats in {RAW}")
        return
    if params.source == "path":
        about = fetch_path(Path(params.path), RAW, picture_class=params.picture_class)
    else:
        about = fetch_zip_url(
            params.url or "",
            RAW,
            sha256=params.sha256,
            picture_class=params.picture_class,
            local_zip=None if params.zip is None else Path(params.zip),
            downloads=DOWNLOADS,
            progress=progress("bytes downloaded"),
        )
    check_count(RAW, "train/*/*", about["pictures"], "pictures")
    print("fetched", about)


if __name__ == "__main__":
    main(fetch)
