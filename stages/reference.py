"""Features of the real images, once per data set; decides which extractor all scores use."""

from sg3x.config import stage_params
from sg3x.data.prepare import load_arrays
from sg3x.metrics.features.extractor import open_extractor
from sg3x.metrics.score import compute_reference, save_reference
from stages.common import ARRAYS, DOWNLOADS, REFERENCE, main, progress, set_up_jax


def reference() -> None:
    params = stage_params("reference").features
    set_up_jax()
    images, facts = load_arrays(ARRAYS)
    extractor = open_extractor(
        inception_path=params.inception_path,
        inception_url=params.inception_url,
        inception_sha256=params.inception_sha256,
        downloads=DOWNLOADS,
    )
    print(f"extractor: {extractor.name}; scores will be called {extractor.metric!r}")
    features = compute_reference(
        images, extractor, facts["fingerprint"], originals=facts["pictures"], progress=progress("real images")
    )
    save_reference(REFERENCE, features)


if __name__ == "__main__":
    main(reference)
