from __future__ import annotations

import errno
import hashlib
import json
import socket
import threading
from pathlib import Path

import numpy as np
import pytest
import requests
from filelock import FileLock
from requests.adapters import HTTPAdapter

from sg3x.files import download
from sg3x.files.download import (
    ChecksumError,
    DownloadError,
    direct_url,
    download_file,
    download_path,
    file_name,
    open_download,
    public_url,
)

CONTENT = np.random.default_rng(0).bytes(1_000_000)
SHA = hashlib.sha256(CONTENT).hexdigest()
OTHER = "0" * 64


@pytest.fixture
def server(file_server):
    file_server.content = CONTENT
    return file_server


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "downloads" / "file.zip"


def get(server, target, **options):
    return download_file(server.url, target, **({"backoff": 0.001, "timeout": 10.0} | options))


def names(target: Path) -> set[str]:
    return {file.name for file in target.parent.iterdir()} - {"file.zip.lock"}


def test_file_arrives_with_its_sum_and_nothing_half_done_beside_it(server, target):
    assert get(server, target, sha256=SHA.upper()) == SHA
    assert target.read_bytes() == CONTENT
    assert names(target) == {"file.zip", "file.zip.json"}
    note = json.loads((target.parent / "file.zip.json").read_text())
    assert note == {"url": server.url, "size": len(CONTENT), "sha256": SHA}


def test_progress_counts_bytes_up_to_the_total(server, target):
    calls: list[tuple[int, int | None]] = []
    get(server, target, progress=lambda done, total: calls.append((done, total)))
    assert calls[-1] == (len(CONTENT), len(CONTENT))
    assert [done for done, _ in calls] == sorted({done for done, _ in calls})
    assert len(calls) > 2


@pytest.mark.parametrize("given", [None, SHA])
def test_complete_file_is_never_fetched_twice(server, target, given):
    get(server, target)
    assert get(server, target, sha256=given) == SHA
    assert len(server.requests) == 1


def test_file_put_there_by_hand_is_taken_without_a_request(server, target):
    target.parent.mkdir()
    target.write_bytes(CONTENT)
    assert get(server, target, sha256=SHA) == SHA
    assert server.requests == []


def test_another_url_of_the_same_name_is_fetched(server, target):
    get(server, target)
    server.content = b"new" * 1000
    download_file(server.url + "?v=2", target)
    assert target.read_bytes() == server.content


def test_dropped_connection_goes_on_where_it_stopped(server, target):
    server.drops = [300_000, 300_000]
    assert get(server, target, sha256=SHA) == SHA
    assert server.sent == len(CONTENT)  # not one byte twice
    assert [request.get("Range") for request in server.requests] == [None, "bytes=300000-", "bytes=600000-"]
    assert {request.get("If-Range") for request in server.requests[1:]} == {'"one"'}


def test_drops_that_bring_bytes_do_not_use_up_the_retries(server, target):
    server.drops = [100_000] * 9
    assert get(server, target, retries=1) == SHA


def test_drop_in_a_body_of_unknown_length_is_noticed_by_its_sum_only(server, target):
    server.sends_length = False
    server.drops = [300_000]
    with pytest.raises(ChecksumError):
        get(server, target, sha256=SHA)
    assert not target.exists()


def test_interrupted_run_is_resumed_by_the_next(server, target):
    def interrupt(done: int, total: int | None) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        get(server, target, progress=interrupt)
    had = (target.parent / "file.zip.part").stat().st_size
    assert 0 < had < len(CONTENT)
    assert get(server, target, sha256=SHA) == SHA
    assert server.requests[1]["Range"] == f"bytes={had}-"


def test_run_killed_before_the_rename_needs_no_request(server, target):
    give_up(server, target, at=600_000)
    (target.parent / "file.zip.part").write_bytes(CONTENT)
    before = len(server.requests)
    assert get(server, target, sha256=SHA) == SHA
    assert len(server.requests) == before


def give_up(server, target, at: int) -> None:
    """Leaves a .part file of `at` bytes."""
    server.drops = [at, 0]
    with pytest.raises(DownloadError):
        get(server, target, retries=1)
    assert (target.parent / "file.zip.part").stat().st_size == at


def test_giving_up_keeps_what_has_arrived_and_says_so(server, target):
    server.drops = [400_000, 0, 0, 0]
    with pytest.raises(DownloadError, match=r"400000 of 1000000 bytes.*kept: run again to go on"):
        get(server, target, retries=2)
    assert len(server.requests) == 3
    assert (target.parent / "file.zip.part").read_bytes() == CONTENT[:400_000]


def test_changed_remote_file_is_fetched_from_the_start(server, target):
    give_up(server, target, at=600_000)
    server.content, server.etag = CONTENT[::-1], '"two"'
    get(server, target)
    assert target.read_bytes() == CONTENT[::-1]


def test_remote_file_that_became_shorter_is_fetched_from_the_start(server, target):
    give_up(server, target, at=600_000)
    server.content = CONTENT[:1000]  # with the old ETag: the server answers 416
    get(server, target)
    assert target.read_bytes() == CONTENT[:1000]


def test_remote_file_of_another_size_under_the_same_etag_is_fetched_from_the_start(server, target):
    give_up(server, target, at=600_000)
    server.content = CONTENT[::-1] + b"more"
    get(server, target)
    assert target.read_bytes() == CONTENT[::-1] + b"more"


def test_server_without_ranges_starts_over(server, target):
    server.ranges = False
    server.drops = [600_000]
    assert get(server, target, sha256=SHA) == SHA
    assert server.sent == 600_000 + len(CONTENT)


def test_server_without_ranges_that_always_breaks_off_is_given_up(server, target):
    server.ranges = False
    server.drops = [600_000] * 50
    with pytest.raises(DownloadError):
        get(server, target, retries=2)
    assert len(server.requests) == 3


@pytest.mark.parametrize("etag", [None, 'W/"weak"'])
def test_without_a_strong_etag_the_date_guards_the_resumption(server, target, etag):
    server.etag, server.last_modified = etag, "Tue, 01 Apr 2025 10:00:00 GMT"
    server.drops = [600_000]
    assert get(server, target) == SHA
    assert server.requests[1]["If-Range"] == server.last_modified
    assert server.sent == len(CONTENT)


def test_without_any_validator_nothing_is_resumed(server, target):
    server.etag = None
    server.drops = [600_000]
    assert get(server, target) == SHA
    assert "Range" not in server.requests[1]


def test_part_of_another_url_is_not_continued(server, target):
    give_up(server, target, at=600_000)
    download_file(server.url + "?other", target)
    assert "Range" not in server.requests[-1]
    assert target.read_bytes() == CONTENT


def test_damaged_note_beside_the_part_means_starting_over(server, target):
    give_up(server, target, at=600_000)
    (target.parent / "file.zip.part.json").write_text('{"url": "http')
    assert get(server, target) == SHA
    assert "Range" not in server.requests[-1]


def test_redirect_keeps_the_range(server, target):
    moved = server.url.replace("/file.zip", "/moved")
    server.drops = [600_000]
    assert download_file(moved, target, backoff=0.001) == SHA
    assert [request["path"] for request in server.requests] == ["/moved", "/file.zip"] * 2
    assert server.requests[-1]["Range"] == "bytes=600000-"


@pytest.mark.parametrize("status", [429, 500, 503])
def test_passing_server_errors_are_tried_again(server, target, status):
    server.statuses = [status, status]
    assert get(server, target) == SHA
    assert len(server.requests) == 3


def test_lasting_server_error_names_it(server, target):
    server.statuses = [503] * 9
    with pytest.raises(DownloadError, match="HTTP 503"):
        get(server, target, retries=2)
    assert len(server.requests) == 3


@pytest.mark.parametrize("status", [403, 404, 410])
def test_refusal_is_not_tried_again_and_names_url_and_param(server, target, status):
    server.statuses = [status]
    with pytest.raises(DownloadError) as caught:
        get(server, target, what="Inception weights", param="features.inception_path")
    assert len(server.requests) == 1
    for piece in (f"HTTP {status}", server.url, "Inception weights", "features.inception_path"):
        assert piece in str(caught.value)


def test_web_page_instead_of_the_file_is_refused(server, target):
    server.content_type = "text/html; charset=utf-8"
    with pytest.raises(DownloadError, match="web page"):
        get(server, target)
    assert not target.exists()
    assert not (target.parent / "file.zip.part").exists()


def test_unreachable_host_is_one_clear_error_at_once(target, monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setattr(download.time, "sleep", lambda seconds: pytest.fail("offline: waiting is of no use"))
    with pytest.raises(DownloadError, match=r"127\.0\.0\.1.* cannot be reached .*offline.*fetch\.zip"):
        download_file(f"http://127.0.0.1:{port}/a.zip", target, param="fetch.zip")


def test_unknown_host_is_one_clear_error(target, monkeypatch):
    def fail(*args: object, **options: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(DownloadError, match=r"example\.invalid cannot be reached \(its name cannot be resolved\)"):
        download_file("http://example.invalid/a.zip", target)


def test_host_that_goes_away_in_the_middle_is_tried_again(server, target, monkeypatch):
    real, calls = HTTPAdapter.send, []

    def flaky(adapter, request, **options):
        calls.append(request)
        if len(calls) == 2:
            raise requests.ConnectionError(OSError(errno.ENETUNREACH, "Network is unreachable"))
        return real(adapter, request, **options)

    monkeypatch.setattr(HTTPAdapter, "send", flaky)
    server.drops = [600_000]
    assert get(server, target) == SHA
    assert len(calls) == 3


def test_wait_between_tries_doubles(server, target, monkeypatch):
    waits: list[float] = []
    monkeypatch.setattr(download.time, "sleep", waits.append)
    server.statuses = [503] * 9
    with pytest.raises(DownloadError):
        get(server, target, backoff=1.0, retries=4)
    assert waits == [2, 4, 8]  # the first one at once
    server.drops, waits[:] = [0] * 9, []
    with pytest.raises(DownloadError):
        get(server, target, backoff=1.0, retries=4)
    assert waits[-4:] == [1, 2, 4, 8]


def test_mismatch_names_both_sums_and_keeps_the_file_aside(server, target):
    with pytest.raises(ChecksumError) as caught:
        get(server, target, sha256=OTHER, sha256_param="fetch.sha256")
    for piece in (SHA, OTHER, "fetch.sha256", "file.zip.mismatch"):
        assert piece in str(caught.value)
    assert names(target) == {"file.zip.mismatch", "file.zip.json"}
    assert (target.parent / "file.zip.mismatch").read_bytes() == CONTENT


def test_mismatch_stays_one_without_fetching_again_and_ends_with_the_right_sum(server, target):
    for _ in range(2):
        with pytest.raises(ChecksumError):
            get(server, target, sha256=OTHER)
    assert get(server, target, sha256=SHA) == SHA
    assert names(target) == {"file.zip", "file.zip.json"}
    assert len(server.requests) == 1


def test_file_of_an_earlier_run_is_put_aside_when_another_sum_is_asked_for(server, target):
    get(server, target)
    with pytest.raises(ChecksumError):
        get(server, target, sha256=OTHER)
    assert not target.exists()


def test_file_damaged_on_disk_is_noticed(server, target):
    get(server, target, sha256=SHA)
    target.write_bytes(CONTENT[:-1] + b"?")
    with pytest.raises(ChecksumError):
        get(server, target, sha256=SHA)


def test_full_disk_is_named_keeps_the_part_and_is_not_tried_again(server, target, monkeypatch):
    real = open

    class Full:
        def __init__(self, file):
            self.file = file

        def __enter__(self):
            return self

        def __exit__(self, *args):
            self.file.close()

        def write(self, block):
            if self.file.tell():
                raise OSError(errno.ENOSPC, "No space left on device")
            return self.file.write(block)

        def tell(self):
            return self.file.tell()

    def fake(path, mode="r", **options):
        file = real(path, mode, **options)
        return Full(file) if str(path).endswith(".part") else file

    monkeypatch.setattr(download, "open", fake, raising=False)
    with pytest.raises(OSError, match=r"disk is full while downloading.*free some space") as caught:
        get(server, target)
    assert caught.value.errno == errno.ENOSPC
    assert caught.value.filename == str(target)
    assert len(server.requests) == 1
    monkeypatch.undo()
    assert get(server, target, sha256=SHA) == SHA
    assert server.requests[1]["Range"].startswith("bytes=")


def test_two_at_once_fetch_once(server, target):
    results: list[str] = []
    threads = [threading.Thread(target=lambda: results.append(get(server, target))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [SHA] * 3
    assert len(server.requests) == 1


@pytest.mark.parametrize("url", ["file:///etc/hostname", "ftp://host/a.zip", "a.zip"])
def test_other_schemes_are_refused(target, url):
    with pytest.raises(ValueError, match="http:// and https://"):
        download_file(url, target)


@pytest.mark.parametrize("sha256", ["abc", "g" * 64, SHA + "0"])
def test_malformed_sum_is_refused_before_anything_is_fetched(server, target, sha256):
    with pytest.raises(ValueError, match=r"features\.inception_sha256 is .* 64 hexadecimal digits"):
        get(server, target, sha256=sha256)
    assert server.requests == []


def test_dropbox_preview_links_become_direct_ones():
    assert direct_url("https://www.dropbox.com/s/abc/a.zip?dl=0") == "https://www.dropbox.com/s/abc/a.zip?dl=1"
    assert direct_url("https://dropbox.com/scl/a.zip?rlkey=k&dl=0") == "https://dropbox.com/scl/a.zip?rlkey=k&dl=1"
    assert direct_url("https://notdropbox.com/a.zip?dl=0") == "https://notdropbox.com/a.zip?dl=0"


def test_the_direct_link_is_what_is_asked_for(target, monkeypatch):
    asked: list[str] = []

    def refuse(adapter, request, **options):
        asked.append(request.url)
        raise requests.ConnectionError("no network in tests")

    monkeypatch.setattr(HTTPAdapter, "send", refuse)
    with pytest.raises(DownloadError):
        download_file("https://www.dropbox.com/s/abc/a.zip?dl=0", target)
    assert asked == ["https://www.dropbox.com/s/abc/a.zip?dl=1"]


@pytest.mark.parametrize(
    ("path", "name"), [("s/x/a_2.zip?dl=1", "a_2.zip"), ("", "download"), ("a b/%2e%2e", "_2e_2e"), ("..", "download")]
)
def test_file_name_is_the_last_part_of_the_path_and_harmless(path, name):
    assert file_name("https://host/" + path) == name


# What a server may answer to "go on from byte 600,000, if it is still version one", and what must not be mixed.
RANGES = {
    "another version, and says so": {"ignores_if_range": True, "content": CONTENT[::-1], "etag": '"two"'},
    "another version, with a weak ETag": {"ignores_if_range": True, "content": CONTENT[::-1], "etag": 'W/"two"'},
    "another version, without saying which": {"content": CONTENT[::-1], "etag_of_ranges": None},
    "more than announced": {"extra": b"garbage"},
}


@pytest.mark.parametrize("answers", RANGES.values(), ids=RANGES)
def test_a_range_that_does_not_fit_is_never_appended(server, target, answers):
    give_up(server, target, at=600_000)
    for key, value in answers.items():
        setattr(server, key, value)
    get(server, target)
    assert target.read_bytes() == server.content
    assert "Range" not in server.requests[-1]


@pytest.mark.parametrize("place", ["ftp://127.0.0.1:{port}/file.zip", "file:///etc/hostname", "gopher://127.0.0.1/"])
def test_a_redirect_leads_to_http_only(server, target, place):
    server.redirect_to = place.format(port=server.url.rpartition(":")[2].partition("/")[0])
    with pytest.raises(DownloadError, match="cannot be asked for .*No connection adapters"):
        download_file(server.url.replace("/file.zip", "/moved"), target)
    assert [request["path"] for request in server.requests] == ["/moved"] and not target.exists()


@pytest.mark.parametrize("arrived", [1, 1000, 300_000])
def test_what_came_before_a_reset_is_kept_from_the_first_byte(server, target, arrived):
    server.resets, server.drops = True, [arrived]
    with pytest.raises(DownloadError, match=r"connection broke .*kept: run again"):
        get(server, target, retries=0)
    assert (target.parent / "file.zip.part").read_bytes() == CONTENT[:arrived]
    assert get(server, target) == SHA
    assert server.requests[-1]["Range"] == f"bytes={arrived}-"


def test_two_urls_of_one_name_have_places_of_their_own(server, tmp_path):
    places = [download_path(tmp_path, url) for url in (server.url, server.url + "?v=2", "https://other/file.zip")]
    assert len(set(places)) == 3 and {place.name for place in places} == {"file.zip"}


def test_a_wrong_sum_of_another_url_leaves_the_good_file(server, target):
    get(server, target)
    server.content = b"other"
    with pytest.raises(ChecksumError):
        download_file(server.url + "?v=2", target, sha256=OTHER)
    assert target.read_bytes() == CONTENT


def test_a_complete_file_damaged_later_is_not_taken_and_its_sum_not_forgotten(server, target):
    get(server, target)
    damaged = CONTENT[:-1] + b"?"
    target.write_bytes(damaged)
    for _ in range(2):
        with pytest.raises(ChecksumError, match=f"but it was {SHA} when it arrived"):
            get(server, target)
    assert json.loads((target.parent / "file.zip.json").read_text())["sha256"] == SHA
    assert get(server, target, sha256=hashlib.sha256(damaged).hexdigest())  # who trusts it says so
    assert len(server.requests) == 1


def test_the_file_that_is_opened_is_the_one_that_was_checked(server, target):
    with open_download(server.url, target) as (file, found):
        replaced = target.with_name("replacement")
        replaced.write_bytes(b"another clone's")
        replaced.replace(target)
        assert (found, hashlib.sha256(file.read()).hexdigest()) == (SHA, SHA)


def test_another_users_folder_is_named_with_what_to_do(server, target, monkeypatch):
    def refuse(self, *args, **options):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(FileLock, "acquire", refuse)
    with pytest.raises(
        PermissionError, match=r"belongs to .*Set SG3X_DOWNLOADS to a folder of your own.*file\.zip\.lock"
    ):
        get(server, target)


def test_no_password_is_printed_or_written(server, target):
    url = server.url.replace("http://", "http://me:s3cret@")
    server.statuses = [404]
    with pytest.raises(DownloadError) as caught:
        download_file(url, target)
    download_file(url, target)
    notes = "".join(file.read_text() for file in target.parent.glob("*.json"))
    assert "s3cret" not in str(caught.value) + notes and "***@127.0.0.1" in notes
    assert public_url("https://a/b@c") == "https://a/b@c"
