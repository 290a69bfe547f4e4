"""A generator on disk."""

import jax
import numpy as np
import pytest

from sg3x.files.fingerprint import hash_tree
from sg3x.networks import Generator, GeneratorConfig
from sg3x.networks.store import load_generator, save_generator

CONFIG = GeneratorConfig(16, z_dim=4, w_dim=4, num_layers=2, num_critical=1, channels=(4, 4), margin_size=1)


@pytest.fixture()
def saved(tmp_path):
    generator = Generator(CONFIG, key=jax.random.key(0))
    save_generator(tmp_path / "model", generator, {"nimg": 5})
    return generator, tmp_path / "model"


def test_the_same_pictures_and_configuration_come_back(saved):
    generator, folder = saved
    loaded = load_generator(folder)
    assert loaded.config == CONFIG
    z = np.random.RandomState(0).randn(2, 4)
    np.testing.assert_array_equal(loaded(z), generator(z))


def test_bytes_are_deterministic(saved, tmp_path):
    generator, folder = saved
    save_generator(tmp_path / "again", generator, {"nimg": 5})
    assert hash_tree(folder) == hash_tree(tmp_path / "again")


def test_a_missing_model_says_what_to_type(tmp_path):
    with pytest.raises(ValueError, match="dvc pull export"):
        load_generator(tmp_path)


def test_a_damaged_file_is_one_error(saved):
    _, folder = saved
    (folder / "generator.safetensors").write_bytes(b"\x80\x04not safetensors")
    with pytest.raises(ValueError, match="is damaged: generator.safetensors"):
        load_generator(folder)
    (folder / "config.json").write_text("[]")
    with pytest.raises(ValueError, match="holds no network: config.json has no key 'generator'"):
        load_generator(folder)


def test_weights_of_another_configuration_are_named(saved):
    _, folder = saved
    text = (folder / "config.json").read_text().replace('"w_dim": 4', '"w_dim": 8')
    (folder / "config.json").write_text(text)
    with pytest.raises(ValueError, match=r"(?s)do not fit.*mapping\.fc0\.weight"):
        load_generator(folder)
