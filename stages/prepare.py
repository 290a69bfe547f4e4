"""Raw pictures -> one uint8[2N, R, R, 3] array, an index and the data set's fingerprint."""

from typing import Any

from sg3x.config import stage_params
from sg3x.data.prepare import LEAST_PICTURES, prepare_dataset
from sg3x.data.raw import check_handed_over
from stages.common import ARRAYS, RAW, main, progress

MOST_NAMED = 10


def prepare() -> None:
    params = stage_params("prepare")
    options = params.prepare
    check_handed_over(RAW, options.unreadable)
    facts = prepare_dataset(
        RAW,
        ARRAYS,
        resolution=params.resolution,
        resize_filter=options.filter,
        nonsquare=options.nonsquare,
        unreadable=options.unreadable,
        flips=options.flips,
        max_images=options.max_images,
        least_pictures=LEAST_PICTURES,
        batch_size=params.batch_size,
        progress=progress("pictures prepared"),
    )
    if facts["skipped"]["count"]:
        _say_skipped(facts)
    print(f"array {facts['shape']}, fingerprint {facts['fingerprint']}")


def _say_skipped(facts: dict[str, Any]) -> None:
    skipped = facts["skipped"]
    print(
        f"warning: {skipped['count']} of {skipped['count'] + facts['pictures']} pictures cannot be read and are left out "
        f"(prepare.unreadable: skip); all are in {ARRAYS / 'dataset.json'}"
    )
    for entry in skipped["files"][:MOST_NAMED]:
        print(f"  {entry['file']}: {entry['reason']}")


if __name__ == "__main__":
    main(prepare)
