"""Inception in JAX equals the same TorchScript file run by torch.

The network is Inception v3 as FID defines it, written here in torch, a sixteenth of its width, with random weights.
"""

from dataclasses import replace

import jax
import numpy as np
import pytest

from sg3x.interop.torchscript import Module, TorchScriptError, read_torchscript

pytest.importorskip("torch")
pytest.importorskip("cleanfid")

import torch

from sg3x.metrics.features.inception_jax import check_against_torch, load_jax_inception, resized

pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
nn, F = torch.nn, torch.nn.functional


class Conv(nn.Module):
    """Convolution, normalisation without a gamma (as the network of 2015-12-05), ReLU."""

    def __init__(self, i: int, o: int, k, stride: int = 1, padding=0) -> None:
        super().__init__()
        self.stride, self.padding = stride, padding
        k = (k, k) if isinstance(k, int) else k
        self.weight = nn.Parameter(torch.randn(o, i, *k) / (i * k[0] * k[1]) ** 0.5)
        self.register_buffer("mean", torch.randn(o) * 0.1)
        self.register_buffer("var", torch.rand(o) + 0.2)
        self.beta = nn.Parameter(torch.randn(o) * 0.1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.conv2d(x, self.weight, stride=self.stride, padding=self.padding)
        return F.relu(F.batch_norm(x, self.mean, self.var, None, self.beta, False, 0.0, 1e-3))


class Branches(nn.Module):
    """Branches side by side, the last behind a pooling that keeps the size, or a bare one that halves it."""

    def __init__(self, branches, pooled=None, average: bool = True) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)
        self.pooled = nn.ModuleList([] if pooled is None else [pooled])
        self.average = average

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = []
        for branch in self.branches:
            out.append(branch(x))
        for branch in self.pooled:
            y = F.avg_pool2d(x, 3, 1, 1, count_include_pad=False) if self.average else F.max_pool2d(x, 3, 1, 1)
            out.append(branch(y))
        if len(self.pooled) == 0:
            out.append(F.max_pool2d(x, 3, 2))
        return torch.cat(out, 1)


class Fork(nn.Module):
    def __init__(self, before, a, b) -> None:
        super().__init__()
        self.before, self.a, self.b = before, a, b

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.before(x)
        return torch.cat([self.a(x), self.b(x)], 1)


def inception(width: int) -> nn.Sequential:
    def w(n: int) -> int:
        return n // width

    def seq(*layers):
        return nn.Sequential(*layers)

    wide, tall = {"k": (1, 7), "padding": (0, 3)}, {"k": (7, 1), "padding": (3, 0)}
    blocks = []
    for i, pool in ((w(192), w(32)), (w(256), w(64)), (w(288), w(64))):
        blocks.append(Branches([
            Conv(i, w(64), 1), seq(Conv(i, w(48), 1), Conv(w(48), w(64), 5, padding=2)),
            seq(Conv(i, w(64), 1), Conv(w(64), w(96), 3, padding=1), Conv(w(96), w(96), 3, padding=1)),
        ], Conv(i, pool, 1)))  # fmt: skip
    i = w(288)
    blocks.append(Branches([
        Conv(i, w(384), 3, 2), seq(Conv(i, w(64), 1), Conv(w(64), w(96), 3, padding=1), Conv(w(96), w(96), 3, 2)),
    ]))  # fmt: skip
    i = w(768)
    for c in (w(128), w(160), w(160), w(192)):
        blocks.append(Branches([
            Conv(i, w(192), 1), seq(Conv(i, c, 1), Conv(c, c, **wide), Conv(c, w(192), **tall)),
            seq(Conv(i, c, 1), Conv(c, c, **tall), Conv(c, c, **wide), Conv(c, c, **tall), Conv(c, w(192), **wide)),
        ], Conv(i, w(192), 1)))  # fmt: skip
    blocks.append(Branches([
        seq(Conv(i, w(192), 1), Conv(w(192), w(320), 3, 2)),
        seq(Conv(i, w(192), 1), Conv(w(192), w(192), **wide), Conv(w(192), w(192), **tall), Conv(w(192), w(192), 3, 2)),
    ]))  # fmt: skip
    flat, steep = {"k": (1, 3), "padding": (0, 1)}, {"k": (3, 1), "padding": (1, 0)}
    for i, average in ((w(1280), True), (w(2048), False)):
        c, d = w(384), w(448)
        blocks.append(Branches([
            Conv(i, w(320), 1), Fork(Conv(i, c, 1), Conv(c, c, **flat), Conv(c, c, **steep)),
            Fork(seq(Conv(i, d, 1), Conv(d, c, 3, padding=1)), Conv(c, c, **flat), Conv(c, c, **steep)),
        ], Conv(i, w(192), 1), average))  # fmt: skip
    return seq(
        Conv(3, w(32), 3, 2), Conv(w(32), w(32), 3), Conv(w(32), w(64), 3, padding=1), nn.MaxPool2d(3, 2),
        Conv(w(64), w(80), 1), Conv(w(80), w(192), 3), nn.MaxPool2d(3, 2), *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(),
    )  # fmt: skip


class Small(nn.Module):
    """The interface of NVIDIA's file."""

    def __init__(self, layers: nn.Module) -> None:
        super().__init__()
        self.layers = layers

    def forward(self, img: torch.Tensor, return_features: bool = False) -> torch.Tensor:
        return self.layers((img - 128) / 128)


class Repeated(nn.Module):
    """Up to 2048 features."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.repeat(1, 2048 // x.shape[1])


def save(folder, layers, name="inception.pt"):
    path = folder / name
    torch.jit.script(Small(layers).eval()).save(str(path))
    return path


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    torch.manual_seed(0)
    return save(tmp_path_factory.mktemp("weights"), nn.Sequential(*inception(16)))


@pytest.fixture(scope="module")
def mine(weights):
    return load_jax_inception(weights)


def pictures(count: int) -> np.ndarray:
    low = torch.from_numpy(np.random.RandomState(0).uniform(0, 255, (count, 3, 12, 12)).astype(np.float32))
    return F.interpolate(low, size=299, mode="bicubic").numpy().transpose(0, 2, 3, 1).copy()


def test_equal_to_torch_on_the_same_file(weights, mine):
    images = pictures(3)
    with torch.no_grad():
        expected = torch.jit.load(str(weights))(torch.from_numpy(images.transpose(0, 3, 1, 2).copy())).numpy()
    found = mine.features_of_resized(images)
    assert found.shape == (3, 128) == (3, mine.dimension)
    assert expected.std() > 0.01
    np.testing.assert_allclose(found, expected, atol=1e-3 * np.abs(expected).max())


def test_equal_to_clean_fids_whole_path(tmp_path):
    """From uint8 pictures, through its resize and its wrapper, which wants 2048 features."""
    torch.manual_seed(1)
    path = save(tmp_path, nn.Sequential(*inception(16), Repeated()))
    images = np.random.RandomState(1).randint(0, 256, (2, 40, 40, 3)).astype(np.uint8)
    from sg3x.metrics.features.inception_torch import load_inception

    theirs = load_inception(path, device="cpu")(images)[:, :128]
    mine = load_jax_inception(path)
    np.testing.assert_allclose(mine(images), theirs, atol=1e-3 * np.abs(theirs).max())
    # The check of a real file compares all 2048: these repeats have 128.
    mine.features_of_resized = lambda x, f=mine.features_of_resized: np.tile(f(x), 16)
    assert check_against_torch(mine, path, pictures(2)) < 1e-3
    mine.features_of_resized = lambda x, f=mine.features_of_resized: f(x)[:, ::-1]
    with pytest.raises(ValueError, match="differ from the TorchScript file's own"):
        check_against_torch(mine, path, pictures(2))


def test_batches_are_spread_over_the_devices(mine):
    assert len(mine._split.device_set) == len(jax.devices()) > 1


def test_convolutions_that_do_not_fit_are_refused(tmp_path):
    layers = list(inception(16))
    layers[0], layers[4] = layers[4], layers[0]
    with pytest.raises(TorchScriptError, match="not Inception v3's in its order"):
        load_jax_inception(save(tmp_path, nn.Sequential(*layers)))
    with pytest.raises(TorchScriptError, match="has 4 convolutions; Inception v3 has 94"):
        load_jax_inception(save(tmp_path, nn.Sequential(*layers[1:5], Conv(5, 5, 1)), "short.pt"))


def test_the_reader_finds_every_tensor_by_name(tmp_path):
    torch.manual_seed(2)
    layers = nn.Sequential(Conv(3, 4, (1, 3)), Conv(4, 2, 1))
    root = read_torchscript(save(tmp_path, layers))
    first = root.attributes["layers"].attributes["0"]
    assert isinstance(first, Module)
    for name in ("weight", "mean", "var", "beta"):
        np.testing.assert_array_equal(first.attributes[name].values, getattr(layers[0], name).detach().numpy())


def test_the_resize_is_clean_fids_to_the_bit():
    from cleanfid.resize import build_resizer

    theirs = build_resizer("clean")
    for side in (16, 299, 512):
        image = np.random.RandomState(side).randint(0, 256, (side, side, 3)).astype(np.uint8)
        np.testing.assert_array_equal(resized(image), theirs(image))
        np.testing.assert_array_equal(resized(image.astype(np.float32) + 0.3), theirs(image.astype(np.float32) + 0.3))


def test_fid_during_training_against_a_reference_of_the_files_own_code(weights, tmp_path):
    """JAX's features of the real pictures are those that torch gave; the distance is what clean-fid's path gives."""
    from sg3x.metrics.during_training import open_during_training
    from sg3x.metrics.features.extractor import inception_extractor
    from sg3x.metrics.score import compute_reference, save_reference, score_features

    path, rng = weights, np.random.RandomState(3)
    images = rng.randint(0, 256, (6, 24, 24, 3)).astype(np.uint8)
    # The wrapper wants 2048 features, this file has 128: the same code without the wrapper.
    extractor = inception_extractor(path, None)
    network = torch.jit.load(str(path)).eval()
    extractor.compute._network = lambda x: network(x)
    extractor = replace(extractor, dimension=128)
    reference = compute_reference(images, extractor, "data")
    save_reference(tmp_path / "reference", reference)
    gauge = open_during_training(
        tmp_path / "reference", images, "data", every_kimg=1.0, num_samples=5, first_seed=0, inception_path=str(path),
        inception_url=None, downloads=tmp_path,
    )  # fmt: skip
    samples = rng.uniform(-1, 1, (5, 24, 24, 3)).astype(np.float32)
    theirs = extractor.features(np.clip(np.rint(samples * 127.5 + 128), 0, 255).astype(np.uint8))
    mine = gauge.features(samples)
    np.testing.assert_allclose(mine, theirs, atol=1e-3 * np.abs(theirs).max())
    assert gauge.column == "fid" and gauge.facts()["extractor"] == "inception-v3-jax"
    assert gauge.distance(mine) == pytest.approx(float(score_features(theirs, reference)["fid"]), rel=1e-3)
