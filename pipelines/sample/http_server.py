"""Serves a folder over HTTP on loopback, with the range requests of the published bucket."""

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
    """A server of the files under a folder, one thread per connection.

    Attributes:
      root: the folder.
    """

    root: pathlib.Path

    def handle_error(self, request: object, client_address: object) -> None:
        """Prints the traceback, except where the client closed the connection."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class Handler(http.server.BaseHTTPRequestHandler):
    """A request for a whole file or one range of it; tests override methods to inject faults."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else a small answer waits for the client's delayed ACK

    def do_GET(self) -> None:
        """Answers with the file."""
        self.reply()

    def do_HEAD(self) -> None:
        """Answers with the headers alone."""
        self.reply()

    def log_message(self, format: str, *args: object) -> None:
        """Logs nothing."""

    def find_file(self) -> pathlib.Path | None:
        """Returns the file that the request names, or None where the root has no such file."""
        root = cast(Server, self.server).root
        name = urllib.parse.unquote(urllib.parse.urlsplit(self.path).path)
        if "\0" in name:
            return None
        path = (root / name.lstrip("/")).resolve()
        return path if path.is_relative_to(root) and path.is_file() else None

    def span(self, size: int, etag: str) -> tuple[int, int] | None:
        """Returns the requested range as [start, stop), or None for the whole file.

        Args:
          size: of the file, in bytes.
          etag: of the file; a range that is bound to another one is ignored.

        Returns:
          An empty range where the request cannot be satisfied.
        """
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
        """Answers with status 200, 206, 404 or 416."""
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
        """Answers with status 416, as the range begins past the end of `size` bytes."""
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
    """Serves a folder on loopback until the block ends.

    Args:
      root: the folder; nothing outside it is served.
      port: to listen on; 0 takes a free one.
      handler: the class that answers requests.

    Yields:
      The URL of the folder, with a slash at its end.

    Raises:
      NotADirectoryError: `root` is not a folder.
      OSError: the port is in use.
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
