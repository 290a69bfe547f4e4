"""Every number of a report: its name, which way is better, and what it says in one sentence (docs/metrics.md says more)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """One row of the report's table.

    Attributes:
        keys: where it may stand in results/metrics.json; the first that is there is shown, under its own name.
        label: for people.
        better: "lower", "higher", what a perfect model has, as "near 1", or that there is no better: "for comparison".
        meaning: one sentence.
        unit: behind the number.
    """

    keys: tuple[str, ...]
    label: str
    better: str
    meaning: str
    unit: str = ""


GROUPS: tuple[tuple[str, tuple[Metric, ...]], ...] = (
    (
        "How close to the real pictures",
        (
            Metric(("fid",), "FID", "lower", "Fréchet distance of Inception features: quality and variety in one."),
            Metric(("frechet_random",), "Fréchet distance, random features", "lower",
                   "As FID, on a fixed random network. Ranks models of one data set; not a FID, compare with none."),
            Metric(("fid_infinity", "frechet_random_infinity"), "the same, of infinitely many samples", "lower",
                   "Extrapolated over sample counts: without the bias that few samples bring."),
            Metric(("kid",), "KID", "lower", "Kernel distance of Inception features, unbiased."),
            Metric(("kernel_random",), "Kernel distance, random features", "lower",
                   "As KID, on the fixed random network; not a KID."),
        ),
    ),
    (
        "How good, how diverse",
        (
            Metric(("precision", "precision_random"), "Precision", "higher",
                   "Share of samples that look like some real picture."),
            Metric(("recall", "recall_random"), "Recall", "higher", "Share of real pictures that some sample looks like."),
            Metric(("density", "density_random"), "Density", "near 1",
                   "As precision, counting how many real pictures a sample is near: outliers do less harm."),
            Metric(("coverage", "coverage_random"), "Coverage", "higher",
                   "Share of real pictures with a sample among their nearest; a perfect model has 0.97."),
        ),
    ),
    (
        "How alias-free",
        (
            Metric(("eq_t",), "EQ-T", "higher", "Does the picture move as its input moves, by whole pixels? StyleGAN3's "
                   "published models reach 60 and more; detail glued to pixels gives some 15 to 20.", " dB"),
            Metric(("eq_t_frac",), "EQ-T, fractions of pixels", "higher", "The same for sub-pixel steps.", " dB"),
            Metric(("eq_r",), "EQ-R", "higher",
                   "The same for rotation: configuration R has it, T is not built for it.", " dB"),
            Metric(("eq_t_plain",), "EQ-T without the filters", "for comparison", "These weights run by StyleGAN2's plain "
                   "operations: the difference to EQ-T is what the alias-free design buys.", " dB"),
        ),
    ),
    (
        "How far from memorising",
        (
            Metric(("neighbour_ratio", "neighbour_ratio_random"), "Neighbour ratio", "near 1",
                   "Distance of samples to the nearest training picture, over that between training pictures. "
                   "Copies give 0; well above 1, the samples are not of the data's kind yet."),
            Metric(("authenticity", "authenticity_random"), "Authenticity", "not near 0",
                   "Share of samples farther from their nearest training picture than that one is from its own nearest."),
        ),
    ),
    (
        "How smooth, how sharp",
        (
            Metric(("ppl",), "PPL", "lower", "Perceptual path length in W: how abruptly pictures change."),
            Metric(("path_length_random", "path_length_inception"), "Path length", "lower",
                   "How abruptly pictures change along W, in the run's own features; not a PPL."),
            Metric(("spectrum_error_db",), "Spectrum error", "lower",
                   "How far the samples' power spectrum is from the real pictures', over all frequencies.", " dB"),
            Metric(("spectrum_high_db",), "Fine detail", "near 0",
                   "Power in the upper octave against the real pictures': negative is too smooth.", " dB"),
        ),
    ),
)  # fmt: skip

# What the page opens with: question, the keys that answer it.
ANSWERS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("How good?", ("fid", "frechet_random")),
    ("How diverse?", ("coverage", "coverage_random")),
    ("How alias-free?", ("eq_t",)),
    ("How far from memorising?", ("neighbour_ratio", "neighbour_ratio_random")),
)


def find(keys: tuple[str, ...], metrics: dict[str, object]) -> str | None:
    """The first of the keys that has a number."""
    return next((key for key in keys if isinstance(metrics.get(key), int | float)), None)


def by_key(key: str) -> Metric:
    """The metric that `key` belongs to."""
    return next(metric for _, metrics in GROUPS for metric in metrics if key in metric.keys)
