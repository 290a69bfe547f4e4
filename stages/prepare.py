"""Raw pictures -> one uint8[2N, R, R, 3] array, an index and the data set's fingerprint."""

from sg3x.config import stage_params
from sg3x.data.prepare import prepare_dataset
from stages.common import ARRAYS, RAW, main, progress


def prepare() -> None:
    params = stage_params("prepare")
    options = params.prepare
    facts = prepare_dataset(
        RAW,
        ARRAYS,
        resolution=params.resolution,
        resize_filter=options.filter,
        nonsquare=options.nonsquare,
        unreadable=options.unreadable,
        flips=options.flips,
        max_images=options.max_images,
        progress=progress("pictures prepared"),
    )
    print(f"array {facts['shape']}, fingerprint {facts['fingerprint']}")


if __name__ == "__main__":
    main(prepare)
