"""Downloads that survive dropped connections and interruptions, checked by sha256, and never done twice.

Beside `NAME`, which is there only once it is complete, may lie:

* `NAME.part` and `NAME.part.json`: what has arrived so far, and of what (URL, ETag or Last-Modified, size);
* `NAME.json`: URL, size and sha256 of the complete file;
* `NAME.mismatch`: complete, but its sha256 is not the one asked for;
* `NAME.lock`: held while a process looks after the file, so that two experiments at once fetch it once.
"""

from __future__ import annotations

import contextlib
import fcntl
import http.client
import json
import logging
import os
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from email.message import Message
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from sg3x.files.atomic import atomic_write, explain_disk_full, remove
from sg3x.files.fingerprint import hash_file

Progress = Callable[[int, int | None], None]  # bytes there so far, bytes in all (None while unknown)

_BLOCK = 1 << 18
_PASSING = (408, 425, 429, 500, 502, 503, 504)  # HTTP answers worth another try
_log = logging.getLogger(__name__)


class DownloadError(RuntimeError):
    """A file that could not be had; the message says what, from where, why, and what to do."""


class ChecksumError(DownloadError):
    """A file arrived whole, but its sha256 is not the one asked for."""


class _Dropped(Exception):
    """The connection broke, or the server asked for patience: worth another try."""


@dataclass(frozen=True)
class _Remote:
    """What is known about the file at the other end: kept in NAME.part.json, so that a later run can go on."""

    url: str
    validator: str | None  # strong ETag, else Last-Modified: what If-Range compares; None: cannot be resumed safely
    size: int | None  # bytes


def download_file(
    url: str,
    target: Path,
    *,
    sha256: str | None = None,
    what: str = "Inception weights",
    param: str = "features.inception_path",
    progress: Progress | None = None,
    retries: int = 5,
    backoff: float = 1.0,
    timeout: float = 60.0,
    sha256_param: str = "features.inception_sha256",
) -> str:
    """Fetches `url` to `target`, unless it is there already, and returns its sha256 (64 hexadecimal digits).

    A broken connection is tried again `retries` times (more as long as bytes keep arriving), after `backoff`, 2, 4 …
    seconds; an interrupted download goes on where it stopped in the next call, or from the start where the remote file
    has changed or the server knows no ranges. A complete file is hashed anew in every call, and never fetched again.

    Args:
        url: http or https. A Dropbox link to a preview page (dl=0) is taken as a link to the file (dl=1).
        target: where the complete file goes; its folder is created.
        sha256: what the file must have; None accepts any.
        what: name of the file in messages.
        param: key of params.yaml that takes a local file instead, named in messages.
        progress: called with (bytes so far, bytes in all or None).
        timeout: seconds without a byte after which a connection counts as broken.
        sha256_param: key of params.yaml that `sha256` comes from.

    Raises:
        DownloadError: host not reachable, HTTP error, connection broken once too often.
        ChecksumError: wrong sha256; the file is kept as NAME.mismatch and taken from there once the sum is corrected.
        ValueError: `url` is neither http nor https, or `sha256` is no sha256.
        OSError: the disk is full (what has arrived is kept).
    """
    wanted = check_sha256(sha256, sha256_param)
    if urlsplit(url).scheme not in ("http", "https"):
        raise ValueError(f"the URL for {what} is {url!r}; allowed are http:// and https://")
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    with _only_one_process(target):
        found = _find_complete(url, target, wanted, what, sha256_param)
        if found is not None:
            return found
        with explain_disk_full(target, f"downloading {what} from {url}"):
            _Download(url, target, what, param, progress, timeout).run(retries, backoff)
        return _accept(url, _part(target), target, wanted, what, sha256_param)


def check_sha256(value: str | None, param: str) -> str | None:
    """`value` in lower case; None and "" are None.

    Raises:
        ValueError: not 64 hexadecimal digits.
    """
    if not value:
        return None
    if len(value) != 64 or set(value.lower()) - set("0123456789abcdef"):
        raise ValueError(f"{param} is {value!r}; allowed are 64 hexadecimal digits, or null to accept any file")
    return value.lower()


def file_name(url: str) -> str:
    """Name for the file at `url`: the last part of its path, without the query."""
    name = urlsplit(url).path.rstrip("/").rpartition("/")[2]
    return "".join(letter if letter.isalnum() or letter in "._-" else "_" for letter in name).lstrip(".") or "download"


def direct_url(url: str) -> str:
    """A Dropbox link ending in dl=0 shows a page to browsers; with dl=1 it is the file. Others are left alone."""
    parts = urlsplit(url)
    if (parts.hostname or "").removeprefix("www.") != "dropbox.com":
        return url
    query = dict(parse_qsl(parts.query, keep_blank_values=True)) | {"dl": "1"}
    return urlunsplit(parts._replace(query=urlencode(query)))


def _beside(target: Path, suffix: str) -> Path:
    return target.with_name(target.name + suffix)


def _part(target: Path) -> Path:
    return _beside(target, ".part")


@contextlib.contextmanager
def _only_one_process(target: Path) -> Iterator[None]:
    """Waits until no other process looks after `target`; the kernel frees the lock however this one ends."""
    with open(_beside(target, ".lock"), "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _log.warning("another process is fetching %s: waiting for it", target.name)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _read_note(path: Path) -> dict:
    """The JSON object in `path`; {} when it is missing or was cut short by a crash."""
    try:
        note = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return note if isinstance(note, dict) else {}


def _find_complete(url: str, target: Path, wanted: str | None, what: str, sha_param: str) -> str | None:
    """sha256 of a complete file from an earlier run, or None when there is none from this URL."""
    for file in (target, _beside(target, ".mismatch")):
        # Without a note somebody put the file there by hand: that is welcome too.
        if file.is_file() and _read_note(_beside(target, ".json")).get("url", url) == url:
            return _accept(url, file, target, wanted, what, sha_param)
    return None


def _accept(url: str, file: Path, target: Path, wanted: str | None, what: str, sha_param: str) -> str:
    """Hashes the complete `file`, and makes it the target, or puts it aside when it is not the wanted one."""
    found, aside = hash_file(file), _beside(target, ".mismatch")
    note = {"url": url, "size": file.stat().st_size, "sha256": found}
    atomic_write(_beside(target, ".json"), json.dumps(note, indent=2).encode() + b"\n")
    mismatch = wanted is not None and found != wanted
    os.replace(file, aside if mismatch else target)
    for leftover in (target if mismatch else aside, _part(target), _beside(target, ".part.json")):
        remove(leftover)
    if mismatch:
        raise ChecksumError(
            f"{what} from {url} has sha256 {found}, but {sha_param} is {wanted}. The file is kept as {aside} and not "
            f"used. If you trust it, set {sha_param} to its sum (or null) and run again: it will not be fetched twice. "
            "If it may have been damaged on its way, delete it and run again."
        )
    return found


@dataclass
class _Download:
    """One download into NAME.part: as many requests as it takes."""

    url: str
    target: Path
    what: str
    param: str
    progress: Progress | None
    timeout: float
    arrived: bool = False  # whether a byte has come in this run: then the network is there, and a failure may pass

    def run(self, retries: int, backoff: float) -> None:
        """Returns when NAME.part is complete; raises DownloadError when nothing more arrives."""
        best, failures = self._have(), 0
        while True:
            try:
                return self._request()
            except _Dropped as drop:
                # A server that knows no ranges starts anew each time: only more bytes than ever before are progress.
                gained = self._have() > best
                best, failures = max(best, self._have()), 1 if gained else failures + 1
                if failures > retries:
                    raise self._error(f"{drop}. What has arrived is kept: run again to go on") from drop
                pause = min(backoff * 2 ** (failures - 1), 60.0)
                _log.warning("%s: %s; trying again in %.0f s (%d bytes are here)", self.what, drop, pause, self._have())
                time.sleep(pause)

    def _have(self) -> int:
        """Bytes in NAME.part."""
        part = _part(self.target)
        return part.stat().st_size if part.exists() else 0

    def _known(self) -> _Remote:
        """What an earlier request noted about the bytes in NAME.part; nothing when they came from elsewhere."""
        note = _read_note(_beside(self.target, ".part.json"))
        known = note.get("url") == self.url
        return _Remote(self.url, *((note.get("validator"), note.get("size")) if known else (None, None)))

    def _request(self) -> None:
        """Asks for what is missing and appends it; raises _Dropped when that could not be done to the end."""
        known, have = self._known(), self._have()
        if known.validator and have == known.size:
            return  # a crash came between the last byte and the rename
        headers = {"User-Agent": "sg3x", "Accept-Encoding": "identity"}
        if have and known.validator:
            headers |= {"Range": f"bytes={have}-", "If-Range": known.validator}
        with self._open(urllib.request.Request(direct_url(self.url), headers=headers)) as response:
            self._receive(response, have, known)

    def _open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        """Sends the request; what goes wrong is either worth another try (_Dropped) or a DownloadError."""
        try:
            return urllib.request.urlopen(request, timeout=self.timeout)
        except urllib.error.HTTPError as error:
            error.close()  # it holds the connection
            answer = f"the server answered HTTP {error.code} {error.reason}"
            if error.code == 416:  # the remote file is shorter than what is here
                remove(_part(self.target))
            if error.code in _PASSING or error.code == 416:
                raise _Dropped(answer) from error
            raise self._error(answer) from error
        except urllib.error.URLError as error:
            reason = "its name cannot be resolved" if isinstance(error.reason, socket.gaierror) else error.reason
            message = f"{request.host} cannot be reached ({reason}); this machine may be offline"
            raise (_Dropped(message) if self.arrived else self._error(message)) from error
        except (OSError, http.client.HTTPException) as error:
            raise _broken(error) from error

    def _receive(self, response: http.client.HTTPResponse, have: int, known: _Remote) -> None:
        """Writes the body of an answer to NAME.part: at its end for 206, from its start otherwise."""
        if response.headers.get_content_type() == "text/html":
            raise self._error("the server answered with a web page instead of the file")
        start, remote = _describe(self.url, response.status, response.headers)
        part = _part(self.target)
        if start not in (0, have) or (start and known.size not in (None, remote.size)):
            remove(part)
            raise _Dropped("the server sent another range than it was asked for")
        if start == 0:
            remove(part)  # before its note changes: bytes and note must never be of different files
            atomic_write(_beside(self.target, ".part.json"), json.dumps(asdict(remote)).encode())
        with open(part, "ab") as file:
            for block in _blocks(response):
                file.write(block)
                self.arrived = True
                if self.progress is not None:
                    self.progress(file.tell(), remote.size)
        if remote.size is not None and self._have() < remote.size:
            raise _Dropped(f"the connection ended after {self._have()} of {remote.size} bytes")

    def _error(self, reason: str) -> DownloadError:
        hint = f"Set {self.param} to a local copy of the file to do without the download"
        return DownloadError(f"cannot download {self.what} from {self.url}: {reason}. {hint}")


def _blocks(response: http.client.HTTPResponse) -> Iterator[bytes]:
    """The body piece by piece. Only reading is in the `try`: a full disk is no broken connection."""
    while True:
        try:
            block = response.read(_BLOCK)
        except (OSError, http.client.HTTPException) as error:
            raise _broken(error) from error
        if not block:
            return
        yield block


def _broken(error: Exception) -> _Dropped:
    return _Dropped(f"the connection broke ({type(error).__name__}: {error})")


def _describe(url: str, status: int, headers: Message) -> tuple[int, _Remote]:
    """(first byte of the body, remote file) by an answer's headers; 0 when the body is the whole file."""
    etag = headers.get("ETag", "")
    validator = etag if etag.startswith('"') else headers.get("Last-Modified")  # If-Range takes no weak ETag
    if status != 206:
        length = headers.get("Content-Length", "")
        return 0, _Remote(url, validator, int(length) if length.isdigit() else None)
    span, _, size = headers.get("Content-Range", "").removeprefix("bytes").strip().partition("/")
    first = span.partition("-")[0]
    return int(first) if first.isdigit() else -1, _Remote(url, validator, int(size) if size.isdigit() else None)
