"""A loopback HTTP server for a folder, as faithful to range requests as the real bucket."""

import contextlib
import http.server
import pathlib
import re
import sys
import threading
import urllib.parse
from collections.abc import Iterator
from http import HTTPStatus
from typing import BinaryIO, cast

LOOPBACK = "127.0.0.1"
CHUNK = 1 << 16  # bytes
RANGE = re.compile(r"bytes=(\d*)-(\d*)")


class Server(http.server.ThreadingHTTPServer):
    """Serves files under `root`, one thread to a connection."""

    root: pathlib.Path

    def handle_error(self, request: object, client_address: object) -> None:
        """Says nothing of a client that hung up."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class Handler(http.server.BaseHTTPRequestHandler):
    """GET and HEAD of a file, whole or one range of it. Tests override a method to misbehave."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or a small answer waits for the client's delayed ack

    def do_GET(self) -> None:
        self.reply()

    def do_HEAD(self) -> None:
        self.reply()

    def log_message(self, format: str, *args: object) -> None:
        """Keeps quiet."""

    def find_file(self) -> pathlib.Path | None:
        """The file that the request names, or None where there is none under the root."""
        root = cast(Server, self.server).root
        name = urllib.parse.unquote(urllib.parse.urlsplit(self.path).path)
        if "\0" in name:
            return None
        path = (root / name.lstrip("/")).resolve()
        return path if path.is_relative_to(root) and path.is_file() else None

    def span(self, size: int, etag: str) -> tuple[int, int] | None:
        """[start, stop) of `size` bytes as asked for; None is all, an empty span an error."""
        asked = RANGE.fullmatch(self.headers.get("Range", "").strip())
        if not asked or asked.group() == "bytes=-" or self.headers.get("If-Range", etag) != etag:
            return None
        first, last = asked.groups()
        if not first:
            return max(size - int(last), 0), size
        if last and int(last) < int(first):
            return None
        return int(first), min(int(last) + 1, size) if last else size

    def reply(self) -> None:
        """Answers 200, 206, 404 or 416."""
        path = self.find_file()
        if path is None:
            return self.send_error(HTTPStatus.NOT_FOUND)
        with path.open("rb") as file:
            stat = path.stat()
            size, etag = stat.st_size, f'"{stat.st_mtime_ns:x}-{stat.st_size:x}"'
            span = self.span(size, etag)
            start, stop = span or (0, size)
            if span and start >= stop:
                return self.refuse_range(size)
            self.send_response(HTTPStatus.PARTIAL_CONTENT if span else HTTPStatus.OK)
            if span:
                self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{size}")
            self.send_header("Accept-Ranges", "bytes")
            self.send_header("Content-Length", str(stop - start))
            self.send_header("Content-Type", "application/octet-stream")
            self.send_header("ETag", etag)
            self.end_headers()
            if self.command == "GET":
                self.send_body(file, start, stop)

    def refuse_range(self, size: int) -> None:
        """Answers 416: the range begins past the end."""
        self.send_response(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)
        self.send_header("Content-Range", f"bytes */{size}")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def send_body(self, file: BinaryIO, start: int, stop: int) -> None:
        """Sends bytes [start, stop) of a file."""
        file.seek(start)
        while start < stop and (chunk := file.read(min(CHUNK, stop - start))):
            self.wfile.write(chunk)
            start += len(chunk)


@contextlib.contextmanager
def serve(
    root: str | pathlib.Path, port: int = 0, handler: type[Handler] = Handler
) -> Iterator[str]:
    """Serves a folder on loopback for as long as the block lasts.

    Args:
      root: the folder; nothing outside it is served.
      port: 0 takes a free one.
      handler: answers the requests.

    Yields:
      The URL of the folder, with a slash at its end.

    Raises:
      NotADirectoryError: root is no folder.
      OSError: the port is taken.
    """
    folder = pathlib.Path(root).resolve()
    if not folder.is_dir():
        raise NotADirectoryError(f"expected a folder to serve, got {root}")
    with Server((LOOPBACK, port), handler) as server:
        server.root = folder
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield f"http://{LOOPBACK}:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()
