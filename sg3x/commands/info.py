"""`sg3x info`: what is inside a model, a checkpoint or an NVIDIA pickle."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from sg3x.commands.errors import one_line_errors


def info(
    path: Annotated[Path, typer.Argument(help="models/..., a checkpoint, or an NVIDIA .pkl")],
) -> None:
    """Configuration, layers (size, rate, cut-off, parameters) and totals of a network."""
    with one_line_errors(path):
        from rich.text import Text

        from sg3x.commands.tables import show
        from sg3x.files.terminal import one_line

        facts, generator, discriminator = _open(path)
        show(Text.assemble((one_line(str(path)), "bold"), _title(generator)))
        for name, value in facts.items():
            show(Text(one_line(f"  {name}: {value}")))
        show(_generator_table(generator))
        if discriminator is not None:
            show(_discriminator_table(discriminator))


def _open(path: Path) -> tuple[dict[str, Any], Any, Any]:
    """Facts to print, GeneratorConfig, DiscriminatorConfig or None."""
    from sg3x.loading import kind_of

    kind = kind_of(path)
    if kind == "checkpoint":
        from sg3x.files.tables import parse_tsv
        from sg3x.networks import DiscriminatorConfig, GeneratorConfig
        from sg3x.training.run.checkpoints import load_meta

        meta = load_meta(path)
        facts = {"kind": "training checkpoint", "images seen": f"{meta['nimg'] / 1000:g} kimg"}
        facts |= {"data set": meta.get("dataset_fingerprint") or "none yet"}
        if meta.get("init"):
            facts["started from"] = meta["init"]
        history = parse_tsv((path / "history.tsv").read_text())
        if history:
            facts["last line of the history"] = ", ".join(f"{k} {v}" for k, v in history[-1].items() if v)
        generator = GeneratorConfig.from_dict(meta["generator"])
        return facts, generator, DiscriminatorConfig.from_dict(meta["discriminator"])
    if kind == "pickle":
        from sg3x.interop.nvidia import load_pickle

        networks = load_pickle(path)
        facts = {"kind": "NVIDIA pickle", "training set": networks.meta["training_set"]}
        facts |= {f"{n} constructed with": networks.meta[n]["init_kwargs"] for n in ("G", "D") if n in networks.meta}
        discriminator = networks.discriminator
        return facts, networks.generator_ema.config, None if discriminator is None else discriminator.config
    from sg3x.networks.store import load_networks

    stored = load_networks(path)
    trainable = stored.training_generator is not None and stored.discriminator is not None
    facts = {"kind": "model that training can start from" if trainable else "model for drawing"}
    facts |= {k: v for k, v in stored.about.items() if not isinstance(v, dict) and v not in (None, [])}
    return facts, stored.generator.config, None if stored.discriminator is None else stored.discriminator.config


def _title(config: Any) -> str:
    kind = "R" if config.use_radial_filters else "T"
    labels = f"{config.c_dim} classes" if config.c_dim else "unconditional"
    side = config.img_resolution
    return f": StyleGAN3-{kind}, {side}x{side}x{config.img_channels}, {labels}"


def _generator_table(config: Any) -> Any:
    import numpy as np
    from flax import nnx
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from sg3x.networks import Generator, definition, layer_schedule
    from sg3x.networks.naming import expected

    params = expected(definition(Generator, config), nnx.Param)
    sizes = {name: int(np.prod(x.shape)) for name, x in params.items()}

    def count(prefix: str) -> int:
        return sum(n for name, n in sizes.items() if name.startswith(prefix))

    table = Table(
        title=f"Generator: z {config.z_dim}, w {config.w_dim}, num_ws {config.num_ws}", title_justify="left",
        show_footer=True, box=SIMPLE_HEAD,
    )  # fmt: skip
    total = sum(sizes.values())
    for column in ("layer", "size", "rate", "cut-off", "channels", "up/down", "taps", "parameters"):
        footer = {"layer": "total", "parameters": f"{total:,}"}.get(column, "")
        table.add_column(column, footer, justify="left" if column == "layer" else "right", no_wrap=True)
    schedule = layer_schedule(config)
    table.add_row("mapping", *[""] * 6, f"{count('mapping.'):,}")
    first = schedule.input
    table.add_row(
        "input", str(first.size), f"{first.sampling_rate:g}", f"{first.bandwidth:.2f}", str(first.channels),
        "", "", f"{count('synthesis.input.'):,}",
    )  # fmt: skip
    for layer in schedule.layers:
        kind = " critical" if layer.is_critically_sampled and not layer.is_torgb else ""
        radial = " radial" if layer.down_radial and layer.down_taps > 1 else ""
        table.add_row(
            layer.name.partition("_")[0] + (" ToRGB" if layer.is_torgb else kind), str(layer.out_size),
            str(layer.out_sampling_rate), f"{layer.out_cutoff:.2f}", str(layer.out_channels),
            f"{layer.up_factor}/{layer.down_factor}",
            f"{layer.up_taps}/{layer.down_taps}{radial}", f"{count(f'synthesis.{layer.name}.'):,}",
        )  # fmt: skip
    return table


def _discriminator_table(config: Any) -> Any:
    import numpy as np
    from flax import nnx
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from sg3x.networks import Discriminator, definition
    from sg3x.networks.naming import expected

    params = expected(definition(Discriminator, config), nnx.Param)
    sizes = {name: int(np.prod(x.shape)) for name, x in params.items()}
    table = Table(title="Discriminator", title_justify="left", show_footer=True, box=SIMPLE_HEAD)
    table.add_column("block", "total")
    table.add_column("channels", justify="right")
    table.add_column("parameters", f"{sum(sizes.values()):,}", justify="right")
    for res in (*config.resolutions, 4):
        below = "" if res == 4 else f" → {config.channels(res // 2)}"
        count = sum(n for name, n in sizes.items() if name.startswith(f"b{res}."))
        table.add_row(f"{res}x{res}", f"{config.channels(res)}{below}", f"{count:,}")
    if config.c_dim:
        count = sum(n for name, n in sizes.items() if name.startswith("mapping."))
        table.add_row("label mapping", str(config.label_dim), f"{count:,}")
    return table
