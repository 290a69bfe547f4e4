"""The augmentation pipe against recorded outputs, and what must hold of it for any numbers."""

from functools import partial
from itertools import groupby

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.scipy.special import erfinv

from sg3x.training.augment import FAMILIES, PRESETS, AugmentConfig, Draws, apply, augment_images, draw
from sg3x.training.augment.corrupt import band_gains
from sg3x.training.augment.draws import force_percentile

KEY = jax.random.key(7)
BGC = AugmentConfig.preset("bgc")
ALL = AugmentConfig.preset("bgcfnc")
augment = jax.jit(augment_images, static_argnames=("config", "debug_percentile"))
apply_jit = jax.jit(apply, static_argnames="config")
draw_jit = jax.jit(draw, static_argnums=(0, 2, 3, 4, 5))
squared_gradient = jax.jit(jax.grad(lambda x, p: jnp.sum(augment_images(x, p, KEY, config=ALL) ** 2)))


def pictures(n=2, height=32, width=32, channels=3, seed=0):
    return jnp.asarray(np.random.RandomState(seed).uniform(-1, 1, (n, height, width, channels)), jnp.float32)


def recorded_draws(golden, prefix):
    """The golden file's random numbers in our layout: [n] or [n, 2], noise [n, h, w, c]."""
    value, gate = {}, {}
    for name, array in golden.group(f"{prefix}draw/").items():
        family, what = name.split(".")
        if what == "pixels":
            continue
        array = array.reshape(len(array), -1)
        array = jnp.asarray(array if array.shape[1] == 2 else array[:, 0])
        (gate if what == "gate" else value)[family] = array
    pixels = f"{prefix}draw/noise.pixels"
    return Draws(value, gate, jnp.asarray(golden.nhwc(pixels)) if pixels in golden else None)


def numpy_draws(config, n, height, width, channels, seed=0):
    """Draws of our layout without compiling a generator, for tests of what is done with them."""
    random = np.random.RandomState(seed)

    def sample(kind):
        if kind.dtype != jnp.float32:
            raise AssertionError(f"unexpected draw of {kind.dtype}")
        return jnp.asarray(random.uniform(size=kind.shape), jnp.float32)

    return jax.tree.map(sample, jax.eval_shape(lambda: draw(config, KEY, n, height, width, channels)))


# What was recorded.


@pytest.fixture(scope="module")
def recorded(golden):
    return golden("augment")


def check(golden, mine, key):
    golden.check(mine, key)
    reference = golden.nhwc(key)
    assert np.abs(np.asarray(mine) - reference).max() <= 1e-4 * np.abs(reference).max()


GROUPS = [*PRESETS["bgc"], "imgfilter", "cutout", "bgc", "geom", "bgc_gray", "bgcfc", "identity_geom"]


@pytest.mark.parametrize("group", GROUPS)
def test_forced_percentile_gives_recorded_images(recorded, group):
    cases = [case for case in recorded.meta["cases"] if case["prefix"].startswith(f"{group}/")]
    assert cases
    for case in cases:
        config = AugmentConfig(**case["kwargs"])
        images = jnp.asarray(recorded.nhwc(case["input"]))
        mine = augment_images(images, case["p"], KEY, config=config, debug_percentile=case["debug_percentile"])
        check(recorded, mine, f"{case['prefix']}y")


def test_every_recorded_case_is_in_a_group(recorded):
    names = [case["prefix"].split("/")[0] for case in recorded.meta["cases"]]
    assert {name for name, _ in groupby(names)} == set(GROUPS)


@pytest.mark.parametrize("number", [0, 1])
def test_recorded_draws_give_recorded_images(recorded, number):
    case = recorded.meta["draw_cases"][number]
    images = jnp.asarray(recorded.nhwc(f"{case['prefix']}x"))
    draws = recorded_draws(recorded, case["prefix"])
    check(recorded, apply_jit(images, case["p"], draws, config=AugmentConfig(**case["kwargs"])), f"{case['prefix']}y")


def test_recorded_gradient(recorded):
    case = recorded.meta["grad_case"]
    config = AugmentConfig(**case["kwargs"])
    pipe = partial(augment_images, p=1.0, key=KEY, config=config, debug_percentile=case["debug_percentile"])
    mine, pullback = jax.vjp(pipe, jnp.asarray(recorded.nhwc("grad/x")))
    check(recorded, mine, "grad/y")
    check(recorded, pullback(jnp.asarray(recorded.nhwc("grad/dy")))[0], "grad/dx")


# Randomness.


def test_same_key_same_bytes_and_another_key_differs():
    one, two = (np.asarray(augment(pictures(), 0.8, KEY, config=ALL)) for _ in range(2))
    assert one.tobytes() == two.tobytes()
    assert not np.allclose(one, augment(pictures(), 0.8, jax.random.key(8), config=ALL))


SOME = AugmentConfig(rotate=1, xfrac=1, saturation=1, noise=1)


def test_draws_of_an_image_do_not_depend_on_the_batch_size():
    few, many = (draw_jit(SOME, KEY, n, 2, 1, 3) for n in (3, 20_000))
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(a, b[:3]), few, many)


def test_draws_of_a_family_do_not_depend_on_other_families():
    some, everything = (draw_jit(config, KEY, 20_000, 2, 1, 3) for config in (SOME, ALL))
    assert set(some.value) == set(some.gate) == {"rotate_pre", "rotate_post", "xfrac", "saturation", "noise"}
    for name in some.value:
        np.testing.assert_array_equal(some.value[name], everything.value[name])
        np.testing.assert_array_equal(some.gate[name], everything.gate[name])
    np.testing.assert_array_equal(some.pixels, everything.pixels)


def test_draws_have_their_distributions():
    draws = draw_jit(ALL, KEY, 20_000, 2, 1, 3)
    for name, value in draws.value.items():
        mean, std = (0.0, 1.0) if FAMILIES[name].normal else (0.5, 12**-0.5)
        np.testing.assert_allclose([np.mean(value), np.std(value)], [mean, std], atol=0.03, err_msg=name)
        np.testing.assert_allclose(np.mean(draws.gate[name]), 0.5, atol=0.015, err_msg=name)
        assert np.all(np.isfinite(value))
    flat = np.stack([np.reshape(v, (20_000, -1))[:, 0] for v in draws.value.values()])
    assert np.abs(np.corrcoef(flat) - np.eye(len(flat))).max() < 0.04  # families are independent


def test_families_fire_with_multiplier_times_p():
    images = pictures(4000, 6, 6)
    blanked = augment(images, 0.5, KEY, config=AugmentConfig(cutout=0.6)) == 0
    np.testing.assert_allclose(jnp.mean(jnp.any(blanked, axis=(1, 2, 3))), 0.3, atol=0.025)


def test_rotation_leaves_images_unturned_with_probability_one_minus_p():
    images = pictures(2000, 6, 6, 1)
    still = augment(images, 0.0, KEY, config=AugmentConfig(rotate=1.0))
    turned = augment(images, 0.4, KEY, config=AugmentConfig(rotate=1.0))
    rate = jnp.mean(jnp.any(jnp.abs(turned - still) > 1e-4, axis=(1, 2, 3)))
    np.testing.assert_allclose(rate, 0.4, atol=0.035)


def test_result_of_an_image_does_not_depend_on_the_rest_of_its_batch():
    images, draws = pictures(5), numpy_draws(ALL, 5, 32, 32, 3)
    together = apply_jit(images, 0.9, draws, config=ALL)
    alone = apply_jit(images[3:4], 0.9, jax.tree.map(lambda a: a[3:4], draws), config=ALL)
    np.testing.assert_allclose(together[3:4], alone, atol=1e-6)
    reversed_ = apply_jit(images[::-1], 0.9, jax.tree.map(lambda a: a[::-1], draws), config=ALL)
    np.testing.assert_allclose(together, reversed_[::-1], atol=1e-6)


def test_eager_and_jit_agree():
    """To 3e-6 of the largest value on pictures as smooth as real ones: what may differ is a rounding of positions."""
    phase = jnp.arange(32) / 5
    images = jnp.stack([jnp.sin(phase[:, None] * k + phase[None, :]) for k in (0.3, 0.7, 1.0)], axis=-1)[None]
    images = jnp.concatenate([images, -images])
    jitted = augment(images, 0.7, KEY, config=ALL)
    np.testing.assert_allclose(
        jitted, augment_images(images, 0.7, KEY, config=ALL), atol=3e-6 * float(jnp.abs(jitted).max())
    )


# Strength.


def test_nothing_enabled_or_no_strength_leaves_images_alone():
    images = pictures()
    assert augment_images(images, 1.0, KEY, config=AugmentConfig()) is images
    still = AugmentConfig(**dict.fromkeys(["cutout", "noise", "brightness", "hue"], 1.0))
    np.testing.assert_allclose(augment(images, 0.0, KEY, config=still), images, atol=1e-6)


def test_resampling_gives_untransformed_images_back():
    """The filter is orthogonal: up and down again is the identity, so p = 0 does not blur."""
    np.testing.assert_allclose(augment(pictures(), 0.0, KEY, config=AugmentConfig(xint=1.0)), pictures(), atol=2e-6)


def test_strength_above_one_fires_everything_and_stays_finite():
    images = pictures()
    np.testing.assert_array_equal(augment(images, 1.0, KEY, config=ALL), augment(images, 3.0, KEY, config=ALL))
    assert jnp.all(jnp.isfinite(augment(images, 3.0, KEY, config=ALL)))


def test_forced_noise_has_its_percentile_as_amplitude():
    images = jnp.zeros((4, 64, 64, 3))
    noisy = augment(images, 0.0, KEY, config=AugmentConfig(noise=1.0), debug_percentile=0.5)
    np.testing.assert_allclose(jnp.std(noisy), 0.1 * 0.4769363, rtol=0.02)


# Differentiation.


@pytest.mark.parametrize("p", [0.0, 0.7, 2.0])
def test_gradients_are_finite(p):
    grads = squared_gradient(pictures(), p)
    assert jnp.all(jnp.isfinite(grads)) and jnp.any(grads != 0)


def test_p_gets_no_gradient():
    config = AugmentConfig(scale=1.0, rotate=1.0)
    assert jax.grad(lambda p: jnp.sum(augment_images(pictures(), p, KEY, config=config)))(0.7) == 0


# Shapes, types, devices, errors.


@pytest.mark.parametrize("shape", [(2, 6, 6, 1), (1, 24, 41, 3)])
def test_any_size_goes_through(shape):
    result = apply_jit(pictures(*shape), 0.9, numpy_draws(ALL, *shape), config=ALL)
    assert result.shape == shape and result.dtype == jnp.float32 and jnp.all(jnp.isfinite(result))


def test_quarter_turns_of_a_wide_image_show_its_middle():
    """Rotating by 90 degrees acts on pixels, not on normalised coordinates: nothing is stretched."""
    ramp = jnp.broadcast_to(jnp.linspace(-1, 1, 40)[None, None, :, None], (1, 20, 40, 1))
    turned = augment(ramp, 1.0, KEY, config=AugmentConfig(rotate90=1.0), debug_percentile=0.3)
    np.testing.assert_allclose(jnp.ptp(turned[0, 4:-4], axis=1), 0, atol=1e-5)  # now constant along x
    step = jnp.diff(turned[0, 4:-4, 20, 0])
    np.testing.assert_allclose(jnp.abs(step), 2 / 39, rtol=1e-2)


def test_batch_sharded_over_devices_gives_the_same_without_communication():
    mesh = jax.sharding.Mesh(np.array(jax.devices()[:2]), ("data",))
    sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("data"))
    images = jax.device_put(pictures(), sharding)
    compiled = squared_gradient.lower(images, 0.9).compile()
    assert not [op for op in ("all-gather", "all-reduce", "all-to-all", "permute") if op in compiled.as_text()]
    sharded = compiled(images, 0.9)
    assert sharded.sharding.is_equivalent_to(sharding, 4)
    np.testing.assert_allclose(sharded, squared_gradient(pictures(), 0.9), rtol=2e-6, atol=1e-5)


@pytest.mark.parametrize(
    "config, named",
    [
        ({"xflip": -1}, "xflip.*-1"),
        ({"noise": float("nan")}, "noise.*nan"),
        ({"hue": "yes"}, "hue.*yes"),
        ({"cutout_size": 1.5}, "cutout_size.*1.5"),
        ({"imgfilter_bands": (1, 1)}, "imgfilter_bands.*4"),
        ({"imgfilter_bands": (1, 1, 1, -2)}, "imgfilter_bands.*-2"),
    ],
)
def test_wrong_settings_are_named(config, named):
    with pytest.raises(ValueError, match=named):
        AugmentConfig(**config)


def test_unknown_preset_is_named_with_the_choices():
    with pytest.raises(ValueError, match=r"'bgd'.*bgcfnc"):
        AugmentConfig.preset("bgd")


@pytest.mark.parametrize(
    "images, options, named",
    [
        (jnp.zeros((8, 8, 3)), {}, r"\[8, 8, 3\]"),
        (jnp.zeros((1, 8, 8, 3), jnp.uint8), {}, "uint8"),
        (jnp.zeros((1, 4, 8, 3)), {}, "4x8"),
        (jnp.zeros((1, 8, 8, 2)), {}, "got 2"),
        (jnp.zeros((1, 8, 8, 3)), {"debug_percentile": 1.0}, "debug_percentile.*1.0"),
    ],
)
def test_wrong_images_are_named(images, options, named):
    with pytest.raises(ValueError, match=named):
        augment_images(images, 1.0, KEY, config=BGC, **options)


@pytest.mark.parametrize("shut", range(4))
def test_a_band_of_multiplier_0_stays_neutral_at_a_percentile_too(shut):
    """As in the reference: what never fires while training is not forced either."""
    bands = tuple(0.0 if band == shut else 1.0 for band in range(4))
    config = AugmentConfig(imgfilter=1.0, imgfilter_bands=bands)
    names = [f"imgfilter{band}" for band in range(4)]
    drawn = Draws(dict.fromkeys(names, np.zeros(2, np.float32)), dict.fromkeys(names, np.zeros(2, np.float32)), None)
    gains = band_gains(config, jnp.float32(0), force_percentile(config, drawn, 0.8))
    # By hand: a band's gain 2^g and 1 elsewhere, over the root of the power that a natural image then has, for each open band.
    power, gain = np.array([10, 1, 1, 1]) / 13, 2.0 ** float(erfinv(jnp.float32(0.6)))
    expected = np.ones(4)
    for band in (b for b in range(4) if b != shut):
        one = np.where(np.arange(4) == band, gain, 1.0)
        expected *= one / np.sqrt(np.sum(power * one**2))
    np.testing.assert_allclose(gains, np.tile(expected, (2, 1)), rtol=1e-6)
