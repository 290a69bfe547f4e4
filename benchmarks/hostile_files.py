"""Honest files of every kind that sg3x reads, and changes of them that follow their structure."""

from __future__ import annotations

import copy
import json
import pickletools
import random
import shutil
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[1]
KINDS = ("pickle", "torchscript", "config", "checkpoint", "safetensors", "npy", "params", "dataset")

# What takes the place of a leaf: too large, too small, of another type, on an edge, nested, long.
LEAVES: list[Any] = [
    None, True, False, 0, -1, 1, 2**31, 2**63, 10**12, 10**30, 0.5, -0.0, 1e308, 1e-308, float("inf"), float("nan"), "",
    "x", "\x1b[2J", "../../x", "x" * 100_000, [], [1], {}, {"a": 1}, [[]] * 1000, list(range(5000)), {"x": {"x": {}}},
]  # fmt: skip
PIECES = [
    b"(", b")", b"]", b"}", b"\x8f", b"N", b"\x88", b"K\x05", b"J\xff\xff\xff\x7f", b"\x85", b"\x86", b"\x87", b"t", b"a",
    b"e", b"s", b"u", b"\x90", b"R", b"b", b"\x81", b"\x94", b"h\x00", b"h\x01", b"Q", b"2", b"0", b"\x8a\x08" + b"\x7f" * 8,
    b"ccollections\nOrderedDict\n", b"cbuiltins\nset\n", b"c_codecs\nencode\n", b"ctorch.storage\n_load_from_bytes\n",
    b"ctorch._utils\n_rebuild_tensor_v2\n", b"cnumpy\ndtype\n", b"cos\nsystem\n", b"X\x05\x00\x00\x00G_ema",
]  # fmt: skip


def honest(kind: str, folder: Path) -> Path:
    """An honest file or folder of a kind, written to `folder`."""
    folder.mkdir(parents=True)
    if kind == "pickle":
        return Path(shutil.copy(ROOT / "tests/golden/tiny_t32.pkl", folder / "n.pkl"))
    if kind == "params":
        return Path(shutil.copy(ROOT / "presets/demo.yaml", folder / "params.yaml"))
    _MAKERS[kind](folder)
    return folder / "n.pt" if kind == "torchscript" else folder


def _torchscript(folder: Path) -> None:
    from tests.interop.forge import Call, Name, New, Persistent, dumps

    storage = Persistent(("storage", Name("torch", "FloatStorage"), "0", "cpu", 48))
    weight = Call(Name("torch._utils", "_rebuild_tensor_v2"), (storage, 0, (4, 3, 2, 2), (12, 4, 2, 1), False, {}))
    inner = _built(New(Name("__torch__.a", "Layer"), {}), {"weight": weight, "bias": None})
    description = dumps(_built(New(Name("__torch__", "Net"), {}), {"layers": inner, "training": False}), 2)
    with zipfile.ZipFile(folder / "n.pt", "w") as file:
        file.writestr("a/data.pkl", description)
        file.writestr("a/data/0", np.arange(48, dtype=np.float32).tobytes())


def _built(new: Any, state: dict[str, Any]) -> Any:
    from tests.interop.forge import Built

    return Built(new, state)


def _network(folder: Path) -> None:
    from sg3x.interop.nvidia import load_pickle
    from sg3x.networks.store import StoredNetworks, save_networks

    found = load_pickle(ROOT / "tests/golden/tiny_t32.pkl")
    save_networks(folder, StoredNetworks(found.generator_ema, found.generator, found.discriminator, found.meta))


def _checkpoint(folder: Path) -> None:
    from sg3x.networks import DiscriminatorConfig, GeneratorConfig
    from sg3x.training.run.checkpoints import save_checkpoint
    from sg3x.training.state import init_state

    generator = GeneratorConfig(16, z_dim=4, w_dim=4, num_layers=2, num_critical=1, channels=(4, 4), margin_size=1)
    discriminator = DiscriminatorConfig(16, channel_base=64, channel_max=4)
    meta = {"nimg": 0, "generator": generator.to_dict(), "discriminator": discriminator.to_dict()}
    save_checkpoint(folder, init_state(generator, discriminator, 0), meta, [{"kimg": "0", "loss": "1"}])


def _arrays(folder: Path) -> None:
    from sg3x.data.prepare import prepare_dataset

    _pictures(folder / "raw")
    settings: dict[str, Any] = {"resize_filter": "lanczos", "nonsquare": "pad", "unreadable": "skip"}
    prepare_dataset(folder / "raw", folder / "out", resolution=16, flips=False, max_images=None, workers=1, **settings)
    for path in (folder / "out").iterdir():
        shutil.move(path, folder / path.name)
    shutil.rmtree(folder / "raw")
    shutil.rmtree(folder / "out")


def _pictures(folder: Path) -> None:
    from PIL import Image

    place = folder / "train" / "cat"
    place.mkdir(parents=True)
    rng = np.random.RandomState(0)
    for number, (suffix, mode) in enumerate([("png", "RGB"), ("jpg", "RGB"), ("png", "P"), ("gif", "P"), ("png", "L")]):
        picture = Image.fromarray(rng.randint(0, 256, (20, 24, 3), np.uint8)).convert(mode)
        picture.save(place / f"{number}.{suffix}")


_MAKERS: dict[str, Callable[[Path], None]] = {
    "torchscript": _torchscript, "config": _network, "safetensors": _network, "checkpoint": _checkpoint,
    "npy": _arrays, "dataset": _pictures,
}  # fmt: skip


def mutate(kind: str, source: Path, target: Path, rng: random.Random) -> Path:
    """A changed copy of the honest file or folder at `source`."""
    if target.is_dir():
        shutil.rmtree(target)
    target.unlink(missing_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("out"))
        _MUTATORS[kind](target, rng)
    else:
        target.write_bytes(_CONTENT[kind](source.read_bytes(), rng))
    return target


def _bytes(content: bytes, rng: random.Random) -> bytes:
    """Flipped, cut, inserted and repeated bytes."""
    changed = bytearray(content)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(changed) + 1)
        what = rng.randrange(4)
        if what == 0 and at < len(changed):
            changed[at] ^= 1 << rng.randrange(8)
        elif what == 1:
            del changed[at : at + rng.choice([1, 8, 64, 10**6])]
        elif what == 2:
            changed[at:at] = rng.randbytes(rng.choice([1, 4, 32]))
        else:
            changed[at:at] = changed[at : at + rng.choice([8, 100])] * rng.choice([1, 100])
    return bytes(changed)


def _opcodes(content: bytes, rng: random.Random) -> bytes:
    """Opcodes of a pickle repeated, moved, left out, or with another's argument; parts named again by the memo."""
    try:
        places = [at for _, _, at in pickletools.genops(content)]
    except Exception:
        return _bytes(content, rng)
    changed = content
    for _ in range(rng.randint(1, 3)):
        i = rng.randrange(len(places) - 1)
        at, end = places[i], places[min(i + rng.choice([1, 1, 2, 8, 40]), len(places) - 1)]
        part, what = content[at:end], rng.randrange(6)
        where = rng.choice(places)
        if what == 0:
            changed = (
                changed[:where] + part * rng.choice([1, 2, 1000, 20000 if len(part) < 40 else 1]) + changed[where:]
            )
        elif what == 1:
            changed = changed[:at] + changed[end:]
        elif what == 2:
            changed = changed[:at] + rng.choice(PIECES) * rng.choice([1, 1, 3, 5000]) + changed[at:]
        elif what == 3:
            again = b"j" + struct.pack("<I", rng.randrange(2000))
            changed = changed[:where] + again * rng.choice([1, 1, 2, 50_000]) + changed[where:]
        elif what == 4:
            number = struct.pack("<i", rng.choice([-1, 0, 1, 2**31 - 1, -(2**31), 100_000]))
            changed = changed[:at] + b"J" + number + changed[end:]
        else:
            changed = _bytes(changed, rng)
    return changed


def _zip(content: bytes, rng: random.Random) -> bytes:
    """A TorchScript archive with another description, other numbers in its list of members, or other bytes."""
    if rng.random() < 0.6:
        import io

        source, made = zipfile.ZipFile(io.BytesIO(content)), io.BytesIO()
        with zipfile.ZipFile(made, "w", rng.choice([0, 0, 0, zipfile.ZIP_DEFLATED])) as file:
            for name in source.namelist():
                inner = source.read(name)
                file.writestr(name, _opcodes(inner, rng) if name.endswith("pkl") else inner)
                if rng.random() < 0.05:
                    file.writestr(rng.choice([name + "x", "a/data/1"]), inner)
        return made.getvalue()
    changed = bytearray(content)
    at = content.rfind(rng.choice([b"PK\x01\x02", b"PK\x05\x06", b"PK\x03\x04"]))
    field = at + 4 + 2 * rng.randrange(20)
    number = rng.choice([0, 1, 0xFFFF, 0xFFFFFFFF, len(content), len(content) // 2])
    changed[field : field + 4] = struct.pack("<I", number)[: max(0, min(4, len(changed) - field))]
    return bytes(changed)


def _leaf(values: Any, rng: random.Random) -> Any:
    """A copy with one leaf replaced, removed or repeated."""
    changed = copy.deepcopy(values)
    place: Any = changed
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        if not keys:
            return rng.choice(LEAVES)
        key = rng.choice(keys)
        if isinstance(place[key], (dict, list)) and place[key] and rng.random() < 0.9:
            place = place[key]
            continue
        what = rng.random()
        if what < 0.8:
            place[key] = rng.choice(LEAVES)
        elif what < 0.9:
            del place[key]
        elif isinstance(place, dict):
            place[rng.choice(["x", "\x1b[2J", "x" * 5000])] = rng.choice(LEAVES)
        return changed


def _json(path: Path, rng: random.Random) -> None:
    if rng.random() < 0.1:
        path.write_bytes(
            rng.choice([b"", b"[" * 100_000, b"null", b'"x"', b"1" * 10_000, _bytes(path.read_bytes(), rng)])
        )
        return
    values = json.loads(path.read_text(encoding="utf-8"))
    for _ in range(rng.choice([1, 1, 2, 5])):
        values = _leaf(values, rng) if isinstance(values, (dict, list)) else values
    path.write_text(json.dumps(values), encoding="utf-8")


def _change_config(folder: Path, rng: random.Random) -> None:
    _json(folder / "config.json", rng)


def _change_safetensors(folder: Path, rng: random.Random) -> None:
    path = folder / rng.choice(["generator", "training_generator", "discriminator"])
    path = path.with_suffix(".safetensors")
    content = path.read_bytes()
    size = struct.unpack("<Q", content[:8])[0]
    if rng.random() < 0.2:
        path.write_bytes(_bytes(content, rng))
        return
    header = json.dumps(_leaf(json.loads(content[8 : 8 + size]), rng)).encode()
    length = rng.choice([len(header)] * 8 + [0, 2**40, len(header) - 1])
    path.write_bytes(struct.pack("<Q", length) + header + content[8 + size :])


def _change_checkpoint(folder: Path, rng: random.Random) -> None:
    """One file changed, and mostly the manifest made to agree with it."""
    from sg3x.files.fingerprint import hash_file

    files = sorted(p for p in folder.rglob("*") if p.is_file())
    described = [p for p in files if p.name in ("meta.json", ".zarray", "_METADATA", "_CHECKPOINT_METADATA")]
    path = rng.choice(described) if rng.random() < 0.8 else rng.choice(files)
    if path.name != "manifest.json" and (path in described):
        _json(path, rng)
    elif rng.random() < 0.2:
        path.unlink()
    else:
        path.write_bytes(_bytes(path.read_bytes(), rng))
    if rng.random() < 0.9 and path.name != "manifest.json" and path.exists():
        manifest = json.loads((folder / "manifest.json").read_text())
        manifest[str(path.relative_to(folder))] = hash_file(path)
        (folder / "manifest.json").write_text(json.dumps(manifest))


def _change_arrays(folder: Path, rng: random.Random) -> None:
    path = folder / rng.choice(["images.npy", "images.npy", "dataset.json", "index.csv"])
    content = path.read_bytes()
    if path.suffix == ".json":
        _json(path, rng)
    elif path.suffix == ".csv" or rng.random() < 0.3:
        path.write_bytes(_bytes(content, rng))
    else:
        shape = [
            rng.choice([5, 16, 3, 0, 1, -1, 10**6, 2**40, 2**63, 1.5]) for _ in range(rng.choice([4, 4, 4, 1, 0, 40]))
        ]
        kind = rng.choice(["|u1", "|u1", "<f8", "|O", ">i4", "|V0", "x", "<U9"])
        header = (
            f"{{'descr': {kind!r}, 'fortran_order': {rng.choice(['True', 'False', '1'])}, 'shape': {tuple(shape)}, }}"
        )
        header = header.encode().ljust(117) + b"\n"
        path.write_bytes(
            b"\x93NUMPY"
            + bytes([rng.choice([1, 1, 2, 9]), 0])
            + struct.pack("<H", len(header))
            + header
            + content[128:]
        )


def _change_pictures(folder: Path, rng: random.Random) -> None:
    path = rng.choice(sorted((folder / "train" / "cat").iterdir()))
    content = bytearray(path.read_bytes())
    if path.suffix == ".png" and rng.random() < 0.5:
        import zlib

        content[16:24] = struct.pack(">II", *(rng.choice([1, 0, 65500, 2**31 - 1, 20, 4000]) for _ in range(2)))
        content[29:33] = struct.pack(">I", zlib.crc32(bytes(content[12:29])))
        path.write_bytes(bytes(content))
    elif rng.random() < 0.1:
        path.rename(path.with_name(rng.choice(["x" * 240 + ".png", "a\nb.png", "\x1b[2J.png", "a.PNG", "a.jpeg"])))
    else:
        path.write_bytes(_bytes(bytes(content), rng))


def _yaml(content: bytes, rng: random.Random) -> bytes:
    """Values of a parameter file replaced; anchors that multiply; other bytes."""
    lines = content.decode().splitlines()
    if rng.random() < 0.15:
        levels = [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}' if i else 'x'] * 9)}]" for i in range(rng.choice([3, 9, 30]))]
        return "\n".join([*levels, *lines]).encode()
    if rng.random() < 0.2:
        return _bytes(content, rng)
    for _ in range(rng.choice([1, 1, 3])):
        at = rng.choice([i for i, line in enumerate(lines) if ":" in line and not line.lstrip().startswith("#")])
        leaf = rng.choice(LEAVES)
        lines[at] = f"{lines[at].split(':')[0]}: {json.dumps(leaf)[:200_000]}"
    return "\n".join(lines).encode()


_MUTATORS: dict[str, Callable[[Path, random.Random], None]] = {
    "config": _change_config, "safetensors": _change_safetensors, "checkpoint": _change_checkpoint,
    "npy": _change_arrays, "dataset": _change_pictures,
}  # fmt: skip
_CONTENT: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "pickle": _opcodes,
    "torchscript": _zip,
    "params": _yaml,
}
