"""`sg3x import-nvidia`: a StyleGAN3 snapshot as a directory that draws, and that training can start from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from sg3x.commands.errors import one_line_errors


def import_nvidia(
    file: Annotated[Path, typer.Argument(help="network-snapshot-*.pkl or a published stylegan3-{t,r}-*.pkl")],
    out: Annotated[
        Path, typer.Argument(help="directory to write, as models/imported: new, empty, or an imported network")
    ],
    force: Annotated[bool, typer.Option(help="replace a network that another command wrote")] = False,
) -> None:
    """Reads NVIDIA's StyleGAN3 networks without running any code of the file, and writes them as safetensors and JSON."""
    with one_line_errors(file):
        from sg3x.files.atomic import check_replaceable
        from sg3x.files.fingerprint import hash_file
        from sg3x.interop.filekind import refuse_url
        from sg3x.interop.nvidia import load_pickle
        from sg3x.networks.store import NETWORK, StoredNetworks, save_networks, stored_about

        refuse_url(file)

        def is_imported(folder: Path) -> bool:
            return {"source", "sha256"} <= (stored_about(folder) or {}).keys()

        imported = replace(NETWORK, what="a network that this command wrote", recognise=is_imported)
        try:
            check_replaceable(out, NETWORK if force else imported)
        except ValueError as error:
            raise ValueError(
                f"{error}{'' if force else ' (--force: or a network that another sg3x command wrote)'}"
            ) from None
        if not file.exists():
            raise ValueError(f"{file} does not exist: give a .pkl file")
        networks = load_pickle(file)
        about = {"source": file.name, "sha256": hash_file(file), **networks.meta}
        stored = StoredNetworks(networks.generator_ema, networks.generator, networks.discriminator, about)
        save_networks(out, stored)
        config = networks.generator_ema.config
        kind = "R" if config.use_radial_filters else "T"
        typer.echo(
            f"{out}: StyleGAN3-{kind}, {config.img_resolution}x{config.img_resolution}, "
            f"{f'{config.c_dim} classes' if config.c_dim else 'unconditional'}"
        )
        typer.echo(f"  draw:   sg3x generate {out} --seeds 0-15 --grid 4x4 --out samples-imported")
        typer.echo(f"  look:   sg3x info {out}")
        discriminator = networks.discriminator
        reason = _untrainable(networks.generator, discriminator, config)
        if reason or discriminator is None:
            typer.echo(f"  training cannot start from it: {reason}")
        elif networks.discriminator is not None:
            typer.echo(f"  train:  in params.yaml  init: {{from: {out}, freeze_d: 0}}  and these shapes:")
            typer.echo(_as_params(config, discriminator.config))


def _untrainable(generator: Any, discriminator: Any, config: Any) -> str | None:
    """Why training cannot start from these networks; None: it can."""
    from sg3x.config.sections import DiscriminatorSection, GeneratorSection
    from sg3x.training.config import discriminator_config, generator_config
    from sg3x.training.run.checkpoints import FREE_KEYS

    missing = [n for n, x in (("G", generator), ("D", discriminator)) if x is None]
    if config.c_dim:
        return f"it has {config.c_dim} classes, training is unconditional"
    if missing:
        return f"the file has no {' and no '.join(missing)} that can be used"
    if config.img_channels != 3:
        return f"it draws {config.img_channels} channels, training is in RGB"
    asked = _shapes(config, discriminator.config)
    try:
        sections = GeneratorSection(**asked["generator"]), DiscriminatorSection(**asked["discriminator"])
    except ValueError as error:
        return f"params.yaml cannot ask for its shape: {' '.join(str(error).split())[:200]}"
    size = asked["resolution"]
    made: list[Any] = [
        generator_config(sections[0], size, "float32"),
        discriminator_config(sections[1], size, "float32"),
    ]
    for kind, ours, theirs in zip(("generator", "discriminator"), made, (config, discriminator.config), strict=True):
        mine, wanted = ours.to_dict(), theirs.to_dict()
        for key in sorted(mine.keys() - set(FREE_KEYS)):
            if mine[key] != wanted[key]:
                return f"params.yaml has no key for its {kind}'s {key}, {wanted[key]}; training has {mine[key]}"
    return None


def _as_params(generator: Any, discriminator: Any) -> str:
    """The lines of params.yaml that ask for networks of these shapes."""
    lines = _shapes(generator, discriminator)
    text = []
    for key, value in lines.items():
        if isinstance(value, dict):
            text += [f"    {key}:", *(f"      {k}: {'null' if v is None else v}" for k, v in value.items())]
        else:
            text.append(f"    {key}: {value}")
    return "\n".join(text)


def _shapes(generator: Any, discriminator: Any) -> dict[str, Any]:
    """Settings of params.yaml for networks of these shapes."""
    radial = generator.use_radial_filters
    share = 2 if radial else 1  # params.yaml says the channels of T; R doubles them
    return {
        "resolution": generator.img_resolution,
        "generator": {
            "config": "R" if radial else "T", "z_dim": generator.z_dim, "w_dim": generator.w_dim,
            "mapping_layers": generator.mapping_layers, "num_layers": generator.num_layers,
            "num_critical": generator.num_critical, "channel_base": generator.channel_base // share,
            "channel_max": generator.channel_max // share,
            "channels": None if generator.channels is None else list(generator.channels),
            "margin_size": generator.margin_size,
        },
        "discriminator": {
            "channel_base": discriminator.channel_base, "channel_max": discriminator.channel_max,
            "mbstd_group_size": discriminator.mbstd_group_size,
        },
    }  # fmt: skip
