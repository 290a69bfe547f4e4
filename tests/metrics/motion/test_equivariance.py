"""Ideal motions, the oriented filters and EQ-T, EQ-T_frac, EQ-R against the reference's numbers."""

import numpy as np
import pytest

from sg3x.interop.nvidia import generator_from_state_dict
from sg3x.metrics.motion import equivariance as eq
from sg3x.metrics.motion import ideal

OPERATORS = {
    "int": ideal.translate_integer,
    "frac": ideal.translate_fractional,
    "rot": ideal.rotate,
    "pseudo": ideal.pseudo_rotate,
}


@pytest.mark.parametrize("index, angle, up", [(0, 0.7, 4), (1, -0.7, 1), (2, 0.0, 4), (3, np.pi / 2, 1)])
def test_oriented_filters_equal_the_golden_ones(golden, index, angle, up):
    golden("filters").check(ideal.oriented_filter(ideal.rotation_matrix(angle), up), f"eqr/filter{index}")


@pytest.mark.parametrize("index", range(8))
def test_operators_and_masks_equal_the_golden_ones(golden, index):
    g = golden("metrics")
    case = g.meta["ops"][index]
    arguments = case["args"] if isinstance(case["args"], list) else [case["args"]]
    moved, mask = OPERATORS[case["op"]](g.nhwc("ops/x"), *arguments)
    g.check(moved, case["prefix"] + "z")
    np.testing.assert_array_equal(mask, g[case["prefix"] + "mask"][0, 0])


def recorded_motions(g, prefix):
    """The motions of the golden run, from its uniform draws."""
    draws = zip(g[prefix + "t_int_uniform"], g[prefix + "t_frac_uniform"], g[prefix + "angle_uniform"], strict=True)
    return [
        eq.Motion(tuple((2 * i - 1) * 0.125), tuple((2 * f - 1) * 0.125), float((2 * float(a) - 1) * np.pi))
        for i, f, a in draws
    ]


@pytest.mark.parametrize("index", [0, 1], ids=["T", "R"])
def test_decibels_equal_the_golden_ones(golden, index):
    g = golden("metrics")
    case = g.meta["equivariance"][index]
    p, size = case["prefix"], case["batch_size"]
    G = generator_from_state_dict(golden(case["weights_file"]).group(case["weights_prefix"]), **case["generator"])
    batches = [(g[p + "z"][i : i + size], None) for i in range(0, case["num_samples"], size)]
    found = eq.measure_equivariance(G, batches, recorded_motions(g, p))
    g.check([found[name] for name in eq.METRICS], p + "psnr")


def test_pictures_of_moved_coordinates_equal_the_golden_ones(golden):
    g = golden("metrics")
    case = g.meta["equivariance"][1]
    p = case["prefix"]
    G = generator_from_state_dict(golden(case["weights_file"]).group(case["weights_prefix"]), **case["generator"])
    motion = recorded_motions(g, p)[0]
    ws = G.mapping(g[p + "z"][:2])
    whole = [round(t * 32) / 32 for t in motion.integer]
    g.check(G.synthesis(ws), p + "orig")
    g.check(G.synthesis(ws, transform=eq.translation_input(*whole)), p + "img_int")
    g.check(G.synthesis(ws, transform=eq.translation_input(*motion.fractional)), p + "img_frac")
    g.check(G.synthesis(ws, transform=eq.rotation_input(motion.angle)), p + "img_rot")
    g.check(ideal.rotate(g.nhwc(p + "orig"), motion.angle)[0], p + "ref_rot", factor=2)


class Shifting:
    """A generator whose pictures follow its coordinates exactly: two waves of low frequency, seen through the transform."""

    z_dim, resolution = 4, 32

    def mapping(self, z, c=None):
        return np.asarray(z)

    def synthesis(self, ws, transform=None):
        m = np.eye(3) if transform is None else np.asarray(transform).reshape(-1, 3, 3)[0]  # the same for all
        at = (np.arange(32) + 0.5) / 32 - 0.5
        x, y = np.meshgrid(at, at)
        u, v = m[0, 0] * x + m[0, 1] * y + m[0, 2], m[1, 0] * x + m[1, 1] * y + m[1, 2]
        waves = [np.sin(2 * np.pi * (w[0] * u + w[1] * v) + w[2]) * 0.5 for w in np.asarray(ws)]
        return np.stack(waves)[..., None].astype(np.float32)


class Glued(Shifting):
    """A generator that ignores its coordinates: every detail sticks to its pixel."""

    def synthesis(self, ws, transform=None):
        return super().synthesis(ws)


def test_an_ideal_generator_scores_high_and_a_glued_one_low():
    options = {"num_samples": 8, "batch": 4}
    ideal, glued = eq.equivariance(Shifting(), **options), eq.equivariance(Glued(), **options)
    assert ideal["eq_t"] > 100  # whole pixels: only float32 rounding is left
    assert ideal["eq_t_frac"] > 35 and ideal["eq_r"] > 35  # the windows of the ideal operators are finite
    assert max(glued.values()) < 30


def test_a_network_with_a_transform_of_its_own_is_measured_from_the_identity():
    """Imported networks may bring one; the original must not go through it while the moved picture does not."""

    class Imported(Shifting):
        def synthesis(self, ws, transform=None):
            return super().synthesis(ws, eq.translation_input(0.3, 0.1) if transform is None else transform)

    assert eq.equivariance(Imported(), num_samples=4, batch=4, metrics=["eq_t"])["eq_t"] > 100


def test_the_result_is_a_function_of_the_seed():
    first = eq.equivariance(Glued(), num_samples=4, batch=2)
    assert first == eq.equivariance(Glued(), num_samples=4, batch=2)
    assert first != eq.equivariance(Glued(), num_samples=4, batch=2, first_seed=1)


@pytest.mark.parametrize("options, named", [({"batch": 3}, "multiple of batch"), ({"metrics": ["eq"]}, "eq_t_frac")])
def test_settings_that_cannot_be_are_named(options, named):
    with pytest.raises(ValueError, match=named):
        eq.equivariance(Glued(), **{"num_samples": 4, "batch": 2, **options})
