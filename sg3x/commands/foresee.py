"""Problems that would stop a run and can be known now: from the parameters, the files and the machine."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from sg3x.config.sections import Params

PLACES = (  # keys that name a file or folder, and when they are read
    ("fetch.path", lambda p: p.fetch.source == "path", lambda p: p.fetch.path),
    ("fetch.zip", lambda p: p.fetch.source == "afhqv2", lambda p: p.fetch.zip),
    ("features.inception_path", lambda p: True, lambda p: p.features.inception_path),
    ("features.lpips_path", lambda p: True, lambda p: p.features.lpips_path),
    ("init.from", lambda p: True, lambda p: p.init.from_),
)  # fmt: skip


def problems(params: Params, devices: int) -> list[str]:
    """One message for each thing that would stop a run on `devices` devices of this machine."""
    found = []
    for check in CHECKS:
        try:
            check(params, devices)
        except (ValueError, OSError, RuntimeError, ArithmeticError, TypeError) as error:
            found.append(str(error) or type(error).__name__)
    return list(dict.fromkeys(found))


def _environment(params: Params, devices: int) -> None:
    from sg3x.files.environment import check_environment

    check_environment()


def _places(params: Params, devices: int) -> None:
    missing = []
    for key, used, value in PLACES:
        place = value(params)
        if place is None or not used(params):
            continue
        if not os.path.exists(place):  # no Path: a name too long is not there either
            missing.append(f"{key}={place!r} is not there")
        elif key.startswith("features.") and not Path(place).is_file():
            missing.append(f"{key}={place!r} must be a file")
    if missing:
        raise ValueError("\n".join(missing))


def _pictures(params: Params, devices: int) -> None:
    from sg3x.metrics.evaluate import LEAST_PICTURES

    counts = {"prepare.max_images": params.prepare.max_images}
    if params.fetch.source == "toycats":
        counts["fetch.count"] = params.fetch.count
    for key, count in counts.items():
        if count is not None and count < LEAST_PICTURES:
            raise ValueError(f"{key}={count}: scores need {LEAST_PICTURES} pictures and more")


def _batch(params: Params, devices: int) -> None:
    from sg3x.training.layout import choose_layout

    group = params.discriminator.mbstd_group_size
    choose_layout(params.batch_size, group, devices, params.batch_per_device, params.deterministic)


def _networks(params: Params, devices: int) -> None:
    """Every shape of the state, without making any of it."""
    import jax

    from sg3x.networks import layer_schedule
    from sg3x.training.config import train_config
    from sg3x.training.state import init_state

    lowest = params.resolution
    if params.discriminator.channel_base < lowest:  # the configuration refuses it too, without the key's section
        raise ValueError(
            f"discriminator.channel_base={params.discriminator.channel_base} leaves no channel at {lowest}x{lowest}: "
            f"allowed are {lowest} (resolution) and more"
        )
    config = train_config(params)
    layer_schedule(config.generator)
    jax.eval_shape(lambda: init_state(config.generator, config.discriminator, 0))


def _augmentation(params: Params, devices: int) -> None:
    import jax
    import jax.numpy as jnp

    from sg3x.training.augment import augment_images

    side = params.resolution
    images = jax.ShapeDtypeStruct((params.batch_size, side, side, 3), jnp.float32)
    jax.eval_shape(lambda x: augment_images(x, 0.5, jax.random.key(0), config=params.augment), images)


def _start(params: Params, devices: int) -> None:
    """The model that training would start from is one, and has the shapes of params.yaml."""
    from sg3x.config.sections import RANDOM_WEIGHTS
    from sg3x.training.config import train_config
    from sg3x.training.run.transfer import start_from

    source = params.init.from_
    if source == RANDOM_WEIGHTS or not os.path.exists(source):
        return
    config = train_config(params)
    start_from(source, config.generator, config.discriminator, params.seed)


def _launcher(params: Params, devices: int) -> None:
    from sg3x.training.hosts.launch import check_launcher

    check_launcher(params.run.launcher)


def _board(params: Params, devices: int) -> None:
    from sg3x.training.watch.console import check_board

    check_board(params.run.tensorboard)


CHECKS: tuple[Callable[[Params, int], None], ...] = (
    _environment, _places, _pictures, _batch, _networks, _augmentation, _start, _launcher, _board,
)  # fmt: skip
