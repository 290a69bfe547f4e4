"""Low-pass filters against the reference's taps."""

import numpy as np
import pytest

from sg3x.ops import design_lowpass_filter


def test_taps_equal_the_golden_ones(golden):
    g = golden("filters")
    for case in g.meta["cases"]:
        taps = design_lowpass_filter(case["numtaps"], case["cutoff"], case["width"], case["fs"], radial=case["radial"])
        if case["identity"]:
            assert taps is None
        else:
            g.check(taps, case["key"])


@pytest.mark.parametrize("radial", [False, True])
def test_dc_gain_is_one(radial):
    taps = design_lowpass_filter(12, 5.0, 6.0, 64, radial=radial)
    assert taps.sum(dtype=np.float64) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize(
    "arguments, named", [((0, 1, 1, 8), "numtaps"), ((4, -1, 1, 8), "cutoff"), ((4, 1, 0, 8), "width")]
)
def test_impossible_filters_are_refused(arguments, named):
    with pytest.raises(ValueError, match=named):
        design_lowpass_filter(*arguments)


def test_radial_filters_have_an_even_number_of_taps():
    with pytest.raises(ValueError, match="even"):
        design_lowpass_filter(7, 1, 1, 8, radial=True)
