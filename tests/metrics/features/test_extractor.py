"""Which extractor is taken, and that it is written down and found again. No torch and no network needed."""

import logging
from types import SimpleNamespace

import numpy as np
import pytest

from sg3x.files.download import ChecksumError, DownloadError
from sg3x.files.fingerprint import hash_file
from sg3x.metrics.features import extractor as module
from sg3x.metrics.features import inception_jax, inception_torch
from sg3x.metrics.features.extractor import extractor_from_record, open_extractor, random_extractor

URL = "http://localhost/inception.pt"
INCEPTION = {
    "name": inception_torch.NAME,
    "sha256": "a" * 64,
    "resize": inception_torch.RESIZE,
    "metric": "fid",
    "dimension": inception_torch.DIMENSION,
}


def failing(error):
    def fail(*_, **__):
        raise error

    return fail


def opened(tmp_path, **changed):
    nothing = {"inception_path": None, "inception_url": None, "inception_sha256": None, "downloads": tmp_path}
    return open_extractor(**(nothing | changed))


def test_without_path_and_url_it_is_the_random_network(tmp_path, caplog):
    found = opened(tmp_path)
    assert found.record() == {
        "name": "random-conv-v1",
        "sha256": None,
        "resize": "antialiased linear to 128 where larger",
        "metric": "frechet_random",
        "dimension": 256,
    }
    assert found.features(np.zeros((3, 16, 16, 3), np.uint8)).shape == (3, 256)
    assert not caplog.records


def test_a_path_without_a_file_is_an_error(tmp_path):
    with pytest.raises(ValueError, match=r"features\.inception_path is '.*missing\.pt', where there is no file"):
        opened(tmp_path, inception_path=tmp_path / "missing.pt", inception_url=URL)


def test_a_path_with_another_sum_is_an_error(tmp_path):
    (tmp_path / "file.pt").write_bytes(b"other")
    with pytest.raises(ValueError, match="has sha256 d9298a10d1b0735837dc4bd85dac641b0f3cef27a47e5d53a54f2f3f5b2fcffa"):
        opened(tmp_path, inception_path=tmp_path / "file.pt", inception_sha256="a" * 64)


def test_without_the_packages_a_path_is_opened_in_jax_and_says_so(tmp_path, monkeypatch, caplog):
    (tmp_path / "file.pt").write_bytes(b"content")
    monkeypatch.setattr(inception_torch, "require_packages", failing(inception_torch.MissingPackagesError("do this")))
    network = SimpleNamespace(sha256="b" * 64, dimension=2048)
    monkeypatch.setattr(inception_jax, "load_jax_inception", lambda *_, **__: network)
    with caplog.at_level(logging.WARNING):
        found = opened(tmp_path, inception_path=tmp_path / "file.pt")
    assert found.record() == INCEPTION | {"name": "inception-v3-jax", "sha256": "b" * 64}
    assert "do this" in caplog.text and "inception-v3-jax" in caplog.text
    # What is written down is found again, and never answered by the other.
    where = {"inception_path": tmp_path / "file.pt", "inception_url": None, "downloads": tmp_path}
    assert extractor_from_record(found.record(), **where).record() == found.record()
    with pytest.raises(ImportError, match=r"do this \(the reference features were .* run the reference stage again"):
        extractor_from_record(INCEPTION | {"sha256": hash_file(tmp_path / "file.pt")}, **where)


def test_a_file_that_jax_cannot_read_is_an_error_by_path_and_a_warning_by_url(tmp_path, monkeypatch, caplog):
    (tmp_path / "inception.pt").write_bytes(b"content")
    monkeypatch.setattr(inception_torch, "require_packages", failing(inception_torch.MissingPackagesError("do this")))
    with pytest.raises(ValueError, match="is no TorchScript file, or damaged"):
        opened(tmp_path, inception_path=tmp_path / "inception.pt")

    def download(url, target, **_):
        target.parent.mkdir()
        target.write_bytes(b"content")
        return hash_file(target)

    monkeypatch.setattr(module, "download_file", download)
    with caplog.at_level(logging.WARNING):
        assert opened(tmp_path, inception_url=URL).metric == "frechet_random"
    assert "NO FID" in caplog.text and "damaged" in caplog.text


def test_missing_packages_are_named_with_the_command(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "cleanfid", None)
    monkeypatch.setitem(__import__("sys").modules, "cleanfid.inception_torchscript", None)
    with pytest.raises(inception_torch.MissingPackagesError, match=r"-e '\.\[fid\]'"):
        inception_torch.require_packages()


def test_a_url_that_cannot_be_had_warns_and_takes_the_random_network(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(module, "download_file", failing(DownloadError("the host is not there")))
    with caplog.at_level(logging.WARNING):
        assert opened(tmp_path, inception_url=URL).metric == "frechet_random"
    assert "NO FID" in caplog.text and "is not there" in caplog.text and "frechet_random" in caplog.text


def test_a_download_with_another_sum_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(inception_torch, "require_packages", lambda: None)
    monkeypatch.setattr(module, "download_file", failing(ChecksumError("another file")))
    with pytest.raises(ChecksumError):
        opened(tmp_path, inception_url=URL, inception_sha256="a" * 64)


def test_the_random_network_is_found_again_even_where_inception_could_be_had(tmp_path):
    record = random_extractor().record()
    found = extractor_from_record(record, inception_path="unused.pt", inception_url=URL, downloads=tmp_path)
    assert found.record() == record


def test_inception_features_are_never_followed_by_random_ones(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="inception_url are both null"):
        extractor_from_record(INCEPTION, inception_path=None, inception_url=None, downloads=tmp_path)
    monkeypatch.setattr(module, "download_file", failing(DownloadError("offline")))
    with pytest.raises(DownloadError):
        extractor_from_record(INCEPTION, inception_path=None, inception_url=URL, downloads=tmp_path)


@pytest.mark.parametrize("changed", [{"name": "random-conv-v9"}, {"resize": "another"}])
def test_a_record_of_another_version_is_refused(changed, tmp_path):
    record = random_extractor().record() | changed
    with pytest.raises(ValueError, match="reference features are of"):
        extractor_from_record(record, inception_path=None, inception_url=None, downloads=tmp_path)
