"""Downloads that survive dropped connections and interruptions, checked by sha256, and never done twice.

Beside `NAME`, which is there only once it is complete, may lie:

* `NAME.part` and `NAME.part.json`: what has arrived so far, and of what (URL, ETag or Last-Modified, size);
* `NAME.json`: URL, size and sha256 of the complete file;
* `NAME.mismatch`: complete, but its sha256 is not the one asked for, or no longer the one it arrived with;
* `NAME.lock`: held while a process looks after the file, so that two experiments at once fetch it once.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import requests
from requests import exceptions
from urllib3 import Retry
from urllib3.exceptions import HTTPError

from sg3x.files.atomic import atomic_write, explain_disk_full, remove
from sg3x.files.fingerprint import hash_open_file
from sg3x.files.locks import exclusive
from sg3x.files.terminal import without_passwords

Progress = Callable[[int, int | None], None]  # bytes there so far, bytes in all (None while unknown)

_BLOCK = 1 << 18
_PASSING = (408, 425, 429, 500, 502, 503, 504)  # HTTP answers worth another try
_HOPELESS = (exceptions.SSLError, exceptions.TooManyRedirects, exceptions.InvalidSchema, exceptions.InvalidURL)
_log = logging.getLogger(__name__)


class DownloadError(RuntimeError):
    """A file that could not be had; the message says what, from where, why, and what to do."""


class ChecksumError(DownloadError):
    """A file arrived whole, but its sha256 is not the one asked for."""


class _Dropped(Exception):
    """The connection broke, or brought something else than was asked for: worth another try."""


def download_file(url: str, target: Path, **options: Any) -> str:
    """Fetches `url` to `target`, unless it is there already, and returns its sha256 (64 hexadecimal digits).

    Arguments and errors are those of `open_download`.
    """
    with open_download(url, target, **options) as (_, found):
        return found


@contextlib.contextmanager
def open_download(
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
) -> Iterator[tuple[BufferedReader, str]]:
    """Fetches `url` to `target`, unless it is there already, and gives the file, open, with its sha256.

    It is the very file whose sum was checked, whatever is renamed meanwhile.
    A broken connection is tried again `retries` times (more as long as bytes keep arriving), after `backoff`, 2, 4 …
    seconds; an interrupted download goes on where it stopped in the next call, or from the start where the remote file
    has changed or the server knows no ranges. A complete file is hashed anew in every call, and never fetched again.

    Args:
        url: http or https, also where it redirects to. A Dropbox link to a preview page is taken as one to the file.
        target: where the complete file goes; its folder is created. See `download_path`.
        sha256: what the file must have; None accepts any when it arrives, and afterwards only that one.
        what: name of the file in messages.
        param: key of params.yaml that takes a local file instead, named in messages.
        progress: called with (bytes so far, bytes in all or None).
        timeout: seconds without a byte after which a connection counts as broken.
        sha256_param: key of params.yaml that `sha256` comes from.

    Raises:
        DownloadError: host not reachable, HTTP error, connection broken once too often.
        ChecksumError: wrong sha256; the file is kept as NAME.mismatch and taken from there once the sum is corrected.
        ValueError: `url` is neither http nor https, or `sha256` is no sha256.
        OSError: the disk is full (what has arrived is kept), or the place belongs to another user.
    """
    wanted = check_sha256(sha256, sha256_param)
    if urlsplit(url).scheme not in ("http", "https"):
        raise ValueError(f"the URL for {what} is {public_url(url)!r}; allowed are http:// and https://")
    download = _Download(url, Path(target), wanted, what, param, sha256_param, progress, timeout)
    with contextlib.ExitStack() as opened:
        with download.alone():
            file = download.find_complete()
            if file is None:
                with explain_disk_full(target, f"downloading {what} from {public_url(url)}"):
                    download.run(retries, backoff)
                file = download.beside(".part")
            handle = opened.enter_context(open(file, "rb"))
            found = download.accept(handle, file)
        yield handle, found


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


def download_path(downloads: Path, url: str) -> Path:
    """Place for the file at `url` in a folder that checkouts may share: two URLs never have the same."""
    return Path(downloads) / hashlib.sha256(url.encode()).hexdigest()[:12] / file_name(url)


def direct_url(url: str) -> str:
    """A Dropbox link ending in dl=0 shows a page to browsers; with dl=1 it is the file. Others are left alone."""
    parts = urlsplit(url)
    if (parts.hostname or "").removeprefix("www.") != "dropbox.com":
        return url
    query = dict(parse_qsl(parts.query, keep_blank_values=True)) | {"dl": "1"}
    return urlunsplit(parts._replace(query=urlencode(query)))


def public_url(url: str) -> str:
    """`url` without its user, password and keys, for messages and notes."""
    return without_passwords(url)


def _read_note(path: Path) -> dict[str, Any]:
    """The JSON object in `path`; {} when it is missing or was cut short by a crash."""
    try:
        note = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return note if isinstance(note, dict) else {}


@dataclass(frozen=True)
class _Remote:
    """Facts about the file at the other end: kept in NAME.part.json, so that a later run can go on."""

    url: str
    validator: str | None = None  # strong ETag, else Last-Modified: what If-Range compares; None: no resuming
    size: int | None = None  # bytes


@dataclass
class _Download:
    """One file at a URL, from what an earlier run left of it to the whole."""

    url: str
    target: Path
    wanted: str | None
    what: str
    param: str
    sha_param: str
    progress: Progress | None
    timeout: float
    arrived: bool = False  # whether a byte has come in this run: then the network is there, and a failure may pass

    def beside(self, suffix: str) -> Path:
        return self.target.with_name(self.target.name + suffix)

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Waits until no other process looks after the file."""
        waiting = f"another process is fetching {self.target.name}: waiting for it"
        with contextlib.ExitStack() as held:
            try:
                held.enter_context(exclusive(self.beside(".lock"), refusal="", waiting=lambda: _log.warning(waiting)))
            except PermissionError as error:
                advice = f"{error.strerror}. Set SG3X_DOWNLOADS to a folder of your own"
                raise PermissionError(error.errno, advice, error.filename) from None
            yield

    def find_complete(self) -> Path | None:
        """A complete file of an earlier run, or None when there is none from this URL."""
        # Without a note somebody put the file there by hand: that is welcome too.
        if _read_note(self.beside(".json")).get("url", public_url(self.url)) != public_url(self.url):
            return None
        return next((file for file in (self.target, self.beside(".mismatch")) if file.is_file()), None)

    def accept(self, handle: BufferedReader, file: Path) -> str:
        """Hashes the complete `file`, and makes it the target, or puts it aside when it is not the wanted one."""
        found, aside, note = hash_open_file(handle), self.beside(".mismatch"), self.beside(".json")
        arrived = file == self.beside(".part")
        recorded = None if arrived else _read_note(note).get("sha256")
        good = found == (self.wanted or recorded or found)
        if good or arrived:
            about = {"url": public_url(self.url), "size": os.fstat(handle.fileno()).st_size, "sha256": found}
            atomic_write(note, json.dumps(about, indent=2).encode() + b"\n")
        os.replace(file, self.target if good else aside)
        for leftover in (self.beside(".part"), self.beside(".part.json"), *([aside] if good else [])):
            remove(leftover)
        if good:
            return found
        expected = f"{self.sha_param} is {self.wanted}" if self.wanted else f"it was {recorded} when it arrived"
        raise ChecksumError(
            f"{self.what} from {public_url(self.url)} has sha256 {found}, but {expected}. The file is kept as {aside} and "
            f"not used. If you trust it, set {self.sha_param} to its sum{' (or null)' if arrived else ''} and run again: it "
            "will not be fetched twice. If it may have been damaged, delete it and run again."
        )

    def run(self, retries: int, backoff: float) -> None:
        """Returns when NAME.part is complete; raises DownloadError when nothing more arrives."""
        best, failures = self._have(), 0
        # urllib3 tries again what the server puts off. What breaks is tried again here, from where it broke.
        again = Retry(
            total=None, status=retries, connect=0, read=0, other=0, redirect=0, backoff_factor=backoff,
            status_forcelist=_PASSING, raise_on_status=False, retry_after_max=60,
        )  # fmt: skip
        with requests.Session() as session:
            for scheme in ("http://", "https://"):
                session.mount(scheme, requests.adapters.HTTPAdapter(max_retries=again))
            while True:
                try:
                    return self._request(session)
                except _Dropped as drop:
                    # A server that knows no ranges starts anew each time: only more bytes than ever before are progress.
                    gained = self._have() > best
                    best, failures = max(best, self._have()), 1 if gained else failures + 1
                    if failures > retries:
                        kept = "What has arrived is kept: run again to go on" if self._have() else "Nothing is here yet"
                        raise self._error(f"{drop}. {kept}") from drop
                    pause = min(backoff * 2 ** (failures - 1), 60.0)
                    _log.warning(
                        "%s: %s; trying again in %.0f s (%d bytes are here)", self.what, drop, pause, self._have()
                    )
                    time.sleep(pause)

    def _have(self) -> int:
        """Bytes in NAME.part."""
        part = self.beside(".part")
        return part.stat().st_size if part.exists() else 0

    def _request(self, session: requests.Session) -> None:
        """Asks for what is missing and appends it; raises _Dropped when that could not be done to the end."""
        note, have = _read_note(self.beside(".part.json")), self._have()
        known = _Remote(public_url(self.url))
        if note.get("url") == known.url:
            known = _Remote(known.url, note.get("validator"), note.get("size"))
        if known.validator and have == known.size:
            return  # a crash came between the last byte and the rename
        headers = {"User-Agent": "sg3x", "Accept-Encoding": "identity"}
        if have and known.validator:
            headers |= {"Range": f"bytes={have}-", "If-Range": known.validator}
        with self._answer(session, headers) as response:
            self._receive(response, have, known)

    def _answer(self, session: requests.Session, headers: dict[str, str]) -> requests.Response:
        """Sends the request; what goes wrong is either worth another try (_Dropped) or a DownloadError."""
        try:
            response = session.get(direct_url(self.url), headers=headers, stream=True, timeout=self.timeout)
        except _HOPELESS as error:
            raise self._error(f"it cannot be asked for ({_reason(error)})") from error
        except (requests.ConnectionError, requests.Timeout) as error:
            begun = isinstance(error, requests.ReadTimeout) or "Connection aborted" in str(error)
            if begun or self.arrived:
                raise _Dropped(f"the connection broke ({_reason(error)})") from error
            asked = error.request.url if error.request is not None else None
            host = urlsplit(str(asked or self.url)).hostname
            raise self._error(f"{host} cannot be reached ({_reason(error)}); this machine may be offline") from error
        if response.ok:
            return response
        response.close()
        if response.status_code == 416:  # the remote file is shorter than what is here
            remove(self.beside(".part"))
            raise _Dropped("the server has fewer bytes than are here")
        raise self._error(f"the server answered HTTP {response.status_code} {response.reason}")

    def _receive(self, response: requests.Response, have: int, known: _Remote) -> None:
        """Writes the body of an answer to NAME.part: at its end for 206, from its start otherwise."""
        if response.headers.get("Content-Type", "").partition(";")[0].strip().lower() == "text/html":
            raise self._error("the server answered with a web page instead of the file")
        part, (start, end, remote) = self.beside(".part"), _describe(known.url, response)
        if start and not (start == have and _continues(known, remote)):
            remove(part)
            raise _Dropped("the server sent another range, or of another version, than it was asked for")
        if start == 0:
            remove(part)  # before its note changes: bytes and note must never be of different files
            atomic_write(self.beside(".part.json"), json.dumps(asdict(remote)).encode())
        with open(part, "ab") as file:
            for block in _blocks(response):
                if end is not None and file.tell() + len(block) > end:
                    remove(part)
                    raise _Dropped(f"the server sent more than the {end - start} bytes that it had announced")
                file.write(block)
                self.arrived = True
                if self.progress is not None:
                    self.progress(file.tell(), remote.size)
        if remote.size is not None and self._have() < remote.size:
            raise _Dropped(f"the connection ended after {self._have()} of {remote.size} bytes")

    def _error(self, reason: str) -> DownloadError:
        hint = f"Set {self.param} to a local copy of the file to do without the download"
        return DownloadError(f"cannot download {self.what} from {public_url(self.url)}: {reason}. {hint}")


def _blocks(response: requests.Response) -> Iterator[bytes]:
    """The body as it comes, so that a reset loses nothing. Only reading is in the `try`: a full disk is no reset."""
    while True:
        try:
            block = response.raw.read1(_BLOCK, decode_content=False)
        except (HTTPError, OSError) as error:
            if "IncompleteRead" in str(error) and "Content-Length" in response.headers:
                return  # how much is missing is for the caller to say
            raise _Dropped(f"the connection broke ({_reason(error)})") from error
        if not block:
            return
        yield block


def _reason(error: Exception) -> str:
    """The innermost reason of an exception of requests, in a few words."""
    text = str(error)
    if "Failed to resolve" in text or "NameResolutionError" in text:
        return "its name cannot be resolved"
    found = re.search(r"\[Errno -?\d+\] ([^'\")]+)", text)
    return found[1] if found else f"{type(error).__name__}: {public_url(text)[:200]}"


def _continues(known: _Remote, remote: _Remote) -> bool:
    """True if a range of `remote` may follow bytes of `known`. A date, unlike an ETag, need not be repeated with a range."""
    dated = known.validator is not None and not known.validator.startswith('"') and remote.validator is None
    return (dated or remote.validator == known.validator) and known.size in (None, remote.size)


def _describe(url: str, response: requests.Response) -> tuple[int, int | None, _Remote]:
    """(first byte of the body, the byte after its last, remote file) by an answer's headers."""
    headers, etag = response.headers, response.headers.get("ETag", "")
    validator = etag if etag.startswith('"') else headers.get("Last-Modified")  # If-Range takes no weak ETag
    if response.status_code != 206:
        length = headers.get("Content-Length", "")
        size = int(length) if length.isdigit() else None
        return 0, size, _Remote(url, validator, size)
    span = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+|\*)", headers.get("Content-Range", "").strip())
    if span is None:
        return -1, None, _Remote(url, validator)
    size = int(span[3]) if span[3].isdigit() else None
    return int(span[1]), int(span[2]) + 1, _Remote(url, validator, size)
