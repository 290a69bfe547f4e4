"""Every picture and film of a report: where it is, and what stands above it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """One section of the page.

    Attributes:
        path: below the project's root.
        heading, caption: above it.
        alternative: what a picture shows, for who cannot see it; a film has none.
    """

    path: str
    heading: str
    caption: str = ""
    alternative: str = ""


# Above the numbers, and below them.
FIRST = (
    Figure("results/samples.png", "Samples", "Unselected, seeds in order.", "grid of sample pictures"),
    Figure(
        "results/walk.mp4", "A walk through the latent space", "A closed loop through a few seeds at constant speed."
    ),
)
REST = (
    Figure("results/figures/walks.mp4", "Eight walks at once", "Each through seeds of its own."),
    Figure("results/figures/motion.mp4", "In motion",
           "The picture's input is moved on a circle in sub-pixel steps. Left: this model. Right: the same weights by "
           "StyleGAN2's plain operations (zero padding, no filters, pixel noise), where detail stays behind. Then, for "
           "configuration R, both turned."),
    Figure("results/figures/sticking.png", "Texture sticking", "", "slit scans of the model and of its plain variant"),
    Figure("results/figures/spectrum.png", "Power spectra", "Averaged over directions; the grey band is ±1 dB.",
           "power spectra of real pictures and samples"),
    Figure("results/figures/neighbours.png", "Nearest training pictures", "",
           "samples beside the training pictures nearest to them"),
    Figure("results/figures/truncation.png", "Truncation", "", "samples at rising truncation psi"),
    Figure("results/figures/mixing.png", "Style mixing", "", "matrix of mixed styles"),
    Figure("results/curves.png", "Training",
           "Losses, and the distance to the real pictures after every segment. Bars: one standard error.",
           "training curves"),
)  # fmt: skip
FIGURES = FIRST + REST
