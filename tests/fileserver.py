"""A file server on loopback that misbehaves on request, and pictures to read."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@dataclass
class FileServer:
    """What the server does; tests change it between requests."""

    content: bytes = b""
    etag: str | None = '"one"'
    last_modified: str | None = None
    ranges: bool = True  # answers Range with 206
    sends_length: bool = True
    content_type: str = "application/zip"
    statuses: list[int] = field(default_factory=list)  # answers of the next requests, before any content
    drops: list[int] = field(default_factory=list)  # body bytes after which the next answers break off
    requests: list[dict[str, str]] = field(default_factory=list)  # headers of all requests, "path" among them
    sent: int = 0  # body bytes, in all answers
    url: str = ""
    redirect_from: str = "/moved"  # this path answers 302 to redirect_to
    redirect_to: str = "/file.zip"
    ignores_if_range: bool = False  # answers 206 whatever If-Range says
    etag_of_ranges: str | None = "the same"  # ETag of 206 answers
    extra: bytes = b""  # follows the body of a 206 answer, which has no Content-Length then
    resets: bool = False  # breaks off by a reset, not by an orderly end


def _handler(server: FileServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            pass

        def do_GET(self) -> None:
            server.requests.append({**dict(self.headers), "path": self.path})
            if self.path == server.redirect_from:
                return self._head(302, {"Location": server.redirect_to, "Content-Length": "0"})
            if server.statuses:
                return self._head(server.statuses.pop(0), {"Content-Length": "0"})
            first = self._first_byte()
            if first >= len(server.content) > 0:
                return self._head(416, {"Content-Range": f"bytes */{len(server.content)}", "Content-Length": "0"})
            body, total = server.content[first:], len(server.content)
            headers = {"Content-Type": server.content_type, "ETag": server.etag, "Last-Modified": server.last_modified}
            if server.sends_length:
                headers["Content-Length"] = str(len(body))
            if first and server.etag_of_ranges != "the same":
                headers["ETag"] = server.etag_of_ranges
            if first and server.extra:
                body, headers["Content-Length"] = body + server.extra, None
            if first:
                headers["Content-Range"] = f"bytes {first}-{total - 1}/{total}"
            self._head(206 if first else 200, headers)
            cut = server.drops.pop(0) if server.drops else len(body)
            server.sent += len(body[:cut])  # before the client can know that it has them all
            self.wfile.write(body[:cut])
            if server.resets and cut < len(body):
                self._reset()
            self.close_connection = True

        def _reset(self) -> None:
            """A pause, so that the client has read what was sent, then RST instead of FIN."""
            time.sleep(0.2)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()

        def _first_byte(self) -> int:
            wanted = self.headers.get("Range")
            same = server.ignores_if_range or self.headers.get("If-Range") in (None, server.etag, server.last_modified)
            return int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and same and server.ranges else 0

        def _head(self, status: int, headers: dict[str, str | None]) -> None:
            self.send_response(status)
            for name, value in headers.items():
                if value is not None:
                    self.send_header(name, value)
            self.end_headers()

    return Handler


@pytest.fixture
def file_server() -> Iterator[FileServer]:
    """A server on a free loopback port; `url` is that of its one file."""
    state = FileServer()
    with ThreadingHTTPServer(("127.0.0.1", 0), _handler(state)) as server:
        state.url = f"http://127.0.0.1:{server.server_port}/file.zip"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield state
        server.shutdown()
        thread.join()


def colour_waves(height: int, width: int, seed: int = 0) -> np.ndarray:
    """uint8[height, width, 3] of slow colour waves, which survive JPEG and resizing nearly unchanged."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0 : 1 : 1j * height, 0 : 1 : 1j * width][..., None]
    fx, fy, phase = rng.uniform(1, 2, 3), rng.uniform(1, 2, 3), rng.uniform(0, 6, 3)
    return np.uint8(128 + 70 * np.sin(2 * fx * x + 2 * fy * y + phase))


@pytest.fixture(scope="session")
def smooth() -> Callable[..., np.ndarray]:
    """(height, width, seed=0) → uint8[height, width, 3]."""
    return colour_waves


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """Folder with train/cat/0.png … 4.png, 24x24 pixels, all different."""
    folder = tmp_path / "raw"
    (folder / "train" / "cat").mkdir(parents=True)
    for i in range(5):
        Image.fromarray(colour_waves(24, 24, seed=i)).save(folder / "train" / "cat" / f"{i}.png")
    return folder
