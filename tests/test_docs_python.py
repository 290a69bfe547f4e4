"""The Python of docs/networks.md and of the README runs as printed, on tiny networks at the places that it names."""

import re
import shutil
from pathlib import Path

import jax
import pytest

from sg3x.networks import DiscriminatorConfig, Generator, GeneratorConfig
from sg3x.networks.store import save_generator
from sg3x.training.run.checkpoints import save_checkpoint
from sg3x.training.state import init_state

ROOT = Path(__file__).parents[1]
G = GeneratorConfig(16, z_dim=4, w_dim=4, num_layers=2, num_critical=1, channels=(4, 4), margin_size=1)
D = DiscriminatorConfig(16, channel_base=32, channel_max=4)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("docs")
    save_generator(folder / "models" / "generator", Generator(G, key=jax.random.key(0)))
    meta = {"generator": G.to_dict(), "discriminator": D.to_dict(), "nimg": 0}
    save_checkpoint(folder / "checkpoints" / "160", init_state(G, D, seed=0), meta, [])
    shutil.copy(ROOT / "tests" / "golden" / "tiny_t32.pkl", folder / "network-snapshot.pkl")
    return folder


@pytest.mark.parametrize("page", ["README.md", "docs/networks.md"])
def test_its_python_runs(page, place, monkeypatch):
    monkeypatch.chdir(place)
    blocks = re.findall(r"^```python\n(.*?)^```", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert blocks
    names: dict = {}
    for number, block in enumerate(blocks):
        exec(compile(block, f"{page}, block {number}", "exec"), names)
