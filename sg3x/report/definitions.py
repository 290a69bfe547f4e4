"""Every number of a report: its name, which way is better, and what it says in one sentence (docs/metrics.md says more)."""

from __future__ import annotations

from dataclasses import dataclass

DATA = ("dataset_fingerprint",)
FEATURES = ("extractor", "extractor_sha256", "resize")


@dataclass(frozen=True)
class Metric:
    """One row of the report's table.

    Attributes:
        key: where it stands in results/metrics.json.
        label: for people.
        better: "lower", "higher", what a perfect model has, as "near 1", or that there is no better: "for comparison".
        meaning: one sentence.
        unit: behind the number.
        alike: what must be the same in two runs, or the difference of their numbers means nothing.
        count: how many pictures or paths it is taken over; of other counts, the difference says not which is better.
    """

    key: str
    label: str
    better: str
    meaning: str
    unit: str = ""
    alike: tuple[str, ...] = DATA + FEATURES
    count: str = "num_fake"

    @property
    def aim(self) -> str:
        """The good values, in words."""
        if self.better in ("lower", "higher"):
            return f"{self.better} is better"
        return f"best {self.better}" if "near" in self.better else self.better


def _pair(key: str, label: str, better: str, meaning: str) -> tuple[Metric, Metric]:
    """The number on Inception's features and that on random ones: two numbers, with two names, in two rows."""
    return Metric(key, label, better, meaning), Metric(f"{key}_random", f"{label}, random features", better, meaning)


def _equivariance(key: str, label: str, better: str, meaning: str) -> Metric:
    return Metric(key, label, better, meaning, " dB", alike=(), count="num_equivariance")


GROUPS: tuple[tuple[str, tuple[Metric, ...]], ...] = (
    (
        "How close to the real pictures",
        (
            Metric("fid", "FID", "lower", "Fréchet distance of Inception features: quality and variety in one."),
            Metric("fid_infinity", "FID of infinitely many samples", "lower",
                   "Extrapolated over sample counts: without the bias that few samples bring."),
            Metric("frechet_random", "Fréchet distance, random features", "lower",
                   "As FID, on a fixed random network. Ranks models of one data set; not a FID, compare with none."),
            Metric("frechet_random_infinity", "Fréchet distance of infinitely many samples, random features", "lower",
                   "Extrapolated over sample counts: without the bias that few samples bring."),
            Metric("kid", "KID", "lower", "Kernel distance of Inception features, unbiased."),
            Metric("kernel_random", "Kernel distance, random features", "lower",
                   "As KID, on the fixed random network; not a KID."),
        ),
    ),
    (
        "How good, how diverse",
        (
            *_pair("precision", "Precision", "higher", "Share of samples that look like some real picture."),
            *_pair("recall", "Recall", "higher", "Share of real pictures that some sample looks like."),
            *_pair("density", "Density", "near 1",
                   "As precision, counting how many real pictures a sample is near: outliers do less harm."),
            *_pair("coverage", "Coverage", "higher", "Share of real pictures with a sample among their nearest; a "
                   "perfect model has 0.97 with as many samples as pictures, more with more."),
        ),
    ),
    (
        "How alias-free",
        (
            _equivariance("eq_t", "EQ-T", "higher", "Does the picture move as its input moves, by whole pixels? "
                          "StyleGAN3's published models reach 60 and more; detail glued to pixels gives some 15 to 20."),
            _equivariance("eq_t_frac", "EQ-T, fractions of pixels", "higher", "The same for sub-pixel steps."),
            _equivariance("eq_r", "EQ-R", "higher",
                          "The same for rotation: configuration R has it, T is not built for it."),
            _equivariance("eq_t_plain", "EQ-T without the filters", "for comparison",
                          "These weights run by StyleGAN2's plain operations, which they were not trained for: what "
                          "filters and margins do for them, not how a trained StyleGAN2 would score."),
        ),
    ),
    (
        "How far from memorising",
        (
            *_pair("neighbour_ratio", "Neighbour ratio", "near 1",
                   "Distance of samples to the nearest training picture, over that between training pictures. "
                   "Copies give 0; well above 1, the samples are not of the data's kind yet."),
            *_pair("authenticity", "Authenticity", "not near 0",
                   "Share of samples farther from their nearest training picture than that one is from its own nearest."),
        ),
    ),
    (
        "How smooth, how sharp",
        (
            Metric("ppl", "PPL", "lower", "Perceptual path length in W: how abruptly pictures change.",
                   alike=("lpips_sha256",), count="num_paths"),
            *(Metric(f"path_length_{kind}", f"Path length, {name} features", "lower",
                     "How abruptly pictures change along W, in the run's own features; not a PPL.",
                     alike=FEATURES, count="num_paths") for kind, name in (("inception", "Inception"), ("random", "random"))),
            Metric("spectrum_error_db", "Spectrum error", "lower", "How far the samples' power spectrum is from the real "
                   "pictures', over all frequencies.", " dB", alike=DATA),
            Metric("spectrum_high_db", "Fine detail", "near 0",
                   "Power in the upper octave against the real pictures': negative is too smooth.", " dB", alike=DATA),
        ),
    ),
)  # fmt: skip

BY_KEY = {metric.key: metric for _, metrics in GROUPS for metric in metrics}

# What the page opens with: question, the keys that answer it.
ANSWERS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("How good?", ("fid", "frechet_random")),
    ("How diverse?", ("coverage", "coverage_random")),
    ("How alias-free?", ("eq_t",)),
    ("How far from memorising?", ("neighbour_ratio", "neighbour_ratio_random")),
)
