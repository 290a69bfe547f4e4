"""The clean-fid path, run for real through a small TorchScript file that has Inception's interface.

Needs torch and clean-fid, which are optional: skipped where they are not installed.
"""

import hashlib
import sys
import types

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch")
pytest.importorskip("cleanfid")

import torch

from sg3x.metrics.distances.frechet import feature_statistics, frechet_distance
from sg3x.metrics.features import inception_torch
from sg3x.metrics.features.extractor import extractor_from_record, inception_extractor, open_extractor
from sg3x.metrics.features.inception_torch import load_inception

# torch warns of its own TorchScript, which is what Inception's file is made of, and scipy of what clean-fid asks for.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The `disp` argument:DeprecationWarning"),
]


class SmallInception(torch.nn.Module):
    """What clean-fid uses of NVIDIA's file: `layers` from float[B, 3, 299, 299] to float[B, 2048]."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.Conv2d(3, 32, 5, stride=9), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(8), torch.nn.Flatten()
        )

    def forward(self, img: torch.Tensor, return_features: bool = False) -> torch.Tensor:
        return self.layers((img - 128) / 128)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "a name of its own.pt"
    torch.jit.script(SmallInception()).save(str(path))
    return path


@pytest.fixture(scope="module")
def images():
    low = np.random.RandomState(0).randint(0, 256, (45, 8, 8, 3)).astype(np.uint8)
    return np.stack([np.asarray(Image.fromarray(i).resize((40, 40), Image.Resampling.BICUBIC)) for i in low])


def to_tensor(x: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(x.transpose(2, 0, 1)))


@pytest.fixture
def cleanfid_fid(monkeypatch):
    """clean-fid's `fid` module. It imports torchvision, of which it uses `ToTensor` on float32: a transpose."""
    try:
        import torchvision  # noqa: F401
    except (ImportError, RuntimeError):
        for name in [name for name in sys.modules if name.startswith("torchvision")]:
            monkeypatch.delitem(sys.modules, name)
        stub = types.ModuleType("torchvision")
        stub.transforms = types.SimpleNamespace(ToTensor=lambda: to_tensor)
        blocks = dict.fromkeys(("InceptionA", "InceptionC", "InceptionE"), torch.nn.Module)  # subclassed, never used
        stub.models = types.SimpleNamespace(inception=types.SimpleNamespace(**blocks))
        monkeypatch.setitem(sys.modules, "torchvision", stub)
    return pytest.importorskip("cleanfid.fid")


def test_features_equal_clean_fids_own_on_the_png_files(weights, images, tmp_path, cleanfid_fid):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{number:03d}.png")
    (tmp_path / "inception-2015-12-05.pt").write_bytes(weights.read_bytes())
    model = inception_torch._open_as_cleanfid(weights, "features.inception_path").eval()
    theirs = cleanfid_fid.get_folder_features(
        str(folder), model, num_workers=0, batch_size=16, device=torch.device("cpu"), mode="clean", verbose=False
    )
    mine = load_inception(weights, device="cpu")(images)
    assert mine.shape == (45, 2048) and mine.dtype == np.float32
    np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-6)
    a, b = theirs[:25, ::100].astype(np.float64), theirs[20:, ::100].astype(np.float64)
    found = frechet_distance(*feature_statistics(a), *feature_statistics(b))
    assert found == pytest.approx(cleanfid_fid.fid_from_feats(a, b), rel=1e-8)


def test_a_row_depends_on_its_own_picture_only(weights, images):
    network = load_inception(weights, device="cpu")
    together = network(images)
    np.testing.assert_array_equal(network(images[40:41]), together[40:41])
    np.testing.assert_array_equal(network(images[::-1])[::-1], together)
    np.testing.assert_array_equal(load_inception(weights, device="cpu")(images), together)


def test_progress_counts_pictures(weights, images):
    seen = []
    load_inception(weights)(images, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(32, 45), (45, 45)]


def test_the_sum_is_checked_and_recorded(weights):
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    assert load_inception(weights, digest.upper()).sha256 == digest
    assert load_inception(weights, None).sha256 == digest
    with pytest.raises(ValueError, match=f"has sha256 {digest}, but {'0' * 64} is wanted"):
        load_inception(weights, "0" * 64)


def test_another_file_is_refused(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("no network")
    with pytest.raises(ValueError, match="is not Inception as TorchScript"):
        load_inception(path)
    torch.jit.script(torch.nn.ReLU()).save(str(path))
    with pytest.raises(ValueError, match="is not Inception as TorchScript"):
        load_inception(path)


def test_a_record_finds_the_same_network_and_no_other(weights, tmp_path):
    where = {"inception_url": None, "downloads": tmp_path}
    extractor = open_extractor(inception_path=weights, inception_sha256=None, **where)
    assert (extractor.metric, extractor.name) == ("fid", "inception-v3-torchscript")
    assert extractor_from_record(extractor.record(), inception_path=weights, **where).record() == extractor.record()
    other = tmp_path / "other.pt"
    torch.manual_seed(1)
    torch.jit.script(SmallInception()).save(str(other))
    with pytest.raises(ValueError, match="is wanted"):
        extractor_from_record(extractor.record(), inception_path=other, **where)


def test_a_download_is_used_and_checked(weights, images, tmp_path, monkeypatch):
    from sg3x.metrics.features import extractor as module

    asked = {}

    def download(url, target, *, sha256=None, **_):
        asked.update(url=url, sha256=sha256)
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(weights.read_bytes())
        return hashlib.sha256(weights.read_bytes()).hexdigest()

    monkeypatch.setattr(module, "download_file", download)
    url = "http://localhost/inception.pt"
    found = open_extractor(inception_path=None, inception_url=url, inception_sha256=None, downloads=tmp_path)
    assert found.metric == "fid" and asked == {"url": url, "sha256": None}
    again = extractor_from_record(found.record(), inception_path=None, inception_url=url, downloads=tmp_path)
    assert again.record() == found.record() and asked["sha256"] == found.sha256
    np.testing.assert_array_equal(found.features(images[:2]), inception_extractor(weights, None).features(images[:2]))


def test_the_whole_evaluation_by_inception(weights, images, tmp_path):
    """Published names only for what is published: FID, KID and the rest, but the path length is not PPL."""
    import jax

    from sg3x.metrics.evaluate import Scoring, evaluate_generator
    from sg3x.metrics.score import compute_reference, save_reference
    from sg3x.networks import Generator, GeneratorConfig

    config = GeneratorConfig(16, z_dim=4, w_dim=4, num_layers=2, num_critical=1, channel_base=32, channel_max=4)
    generator = Generator(config, key=jax.random.key(0))
    save_reference(
        tmp_path / "reference", compute_reference(images[:20, :16, :16], inception_extractor(weights, None), "x")
    )
    scoring = Scoring.open(
        tmp_path / "reference", seeds=range(12), batch=4, inception_path=str(weights), downloads=tmp_path
    )
    found = evaluate_generator(generator, scoring, equivariance_samples=4, path_samples=2).metrics
    assert {
        "fid",
        "kid",
        "precision",
        "recall",
        "density",
        "coverage",
        "authenticity",
        "neighbour_ratio",
    } <= found.keys()
    assert "path_length_inception" in found and "ppl" not in found and not any("random" in key for key in found)
    assert found["extractor_sha256"] == hashlib.sha256(weights.read_bytes()).hexdigest()
