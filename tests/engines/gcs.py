"""Cloud Storage on this machine: an emulator in a process of its own, behind a server that
misbehaves on purpose.

Beam's client finds it by STORAGE_EMULATOR_HOST. TensorFlow's own client knows no such thing and
always asks www.googleapis.com over TLS; it takes a proxy and a certificate authority from the
environment, and the proxy is this server, which answers in that name.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import datetime
import functools
import http.client
import itertools
import json
import pathlib
import ssl
import sys
import threading
import time
import urllib.parse
from collections.abc import Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

from tests.engines import services

BUCKET = "gs://bucket"
NAMES = ("www.googleapis.com", "storage.googleapis.com", "iamcredentials.googleapis.com")
JSON = "application/json"
UNKNOWN = {  # what clients ask for and the emulator does not know
    "/token": b'{"access_token": "t", "expires_in": 3600}',
    "/allowedLocations": b'{"encodedLocations": "0x0"}',
    "/storageLayout": b'{"hierarchicalNamespace": {"enabled": false}}',
}
PIECE = 1 << 14  # bytes of a slow object between two pauses
PAUSE = 0.05  # seconds
HOP = ("host", "connection", "transfer-encoding", "content-length", "keep-alive", "te")


@dataclasses.dataclass
class Faults:
    """What goes wrong, of all requests together.

    Attributes:
      unavailable_every: so many requests, one is answered with 503; 0 for none.
      cut_every: so many bodies of objects, one breaks off in the middle; 0 for none.
      slow: part of the name of an object that comes in a trickle.
      counts: what has gone wrong so far.
    """

    unavailable_every: int = 0
    cut_every: int = 0
    slow: str = ""
    counts: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    _requests: Iterator[int] = dataclasses.field(default_factory=lambda: itertools.count(1))
    _bodies: Iterator[int] = dataclasses.field(default_factory=lambda: itertools.count(1))
    _lock: threading.Lock = dataclasses.field(default_factory=threading.Lock)

    def unavailable(self) -> bool:
        return self._due("unavailable", self._requests, self.unavailable_every)

    def cut(self) -> bool:
        return self._due("cut", self._bodies, self.cut_every)

    def is_slow(self, path: str) -> bool:
        with self._lock:
            found = bool(self.slow) and self.slow in urllib.parse.unquote(path)
            self.counts["slow"] += found
            return found

    def _due(self, name: str, numbers: Iterator[int], every: int) -> bool:
        with self._lock:
            due = bool(every) and next(numbers) % every == 0
            self.counts[name] += due
            return due


@dataclasses.dataclass
class Store:
    """A bucket that is there.

    Attributes:
      faults: what goes wrong from now on; may be replaced.
      env: of processes that are to see it.
      url: of the server.
    """

    faults: Faults
    env: dict[str, str]
    url: str

    def put(self, folder: pathlib.Path, name: str) -> str:
        """Copies a folder into the bucket; returns its address there."""
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                blob = self._bucket.blob(f"{name}/{path.relative_to(folder)}")
                blob.upload_from_filename(str(path))
        return f"{BUCKET}/{name}"

    def get(self, name: str, folder: pathlib.Path) -> None:
        """Copies what is below a name in the bucket into a folder."""
        for blob in self._bucket.list_blobs(prefix=f"{name}/"):
            path = folder / blob.name.removeprefix(f"{name}/")
            if not blob.name.endswith("/"):  # TensorFlow marks folders so
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(blob.download_as_bytes())

    @functools.cached_property
    def _bucket(self) -> storage.Bucket:
        options = {"api_endpoint": self.url}
        client = storage.Client("project", AnonymousCredentials(), client_options=options)
        return client.bucket("bucket")


class Front(BaseHTTPRequestHandler):
    """Hands requests on to the emulator, and answers back, unless a fault is due."""

    protocol_version = "HTTP/1.1"
    server: _Server

    def do_CONNECT(self) -> None:
        """From a proxy's client: what follows is for another server, in whose name we answer."""
        self.send_response(HTTPStatus.OK)
        self.end_headers()
        self.close_connection = False  # some clients say HTTP/1.0 here, and mean more
        self.connection = self.server.tls.wrap_socket(self.connection, server_side=True)
        self.rfile = self.connection.makefile("rb")
        self.wfile = self.connection.makefile("wb", 0)

    def hand_on(self) -> None:
        body = self._body()
        faults = self.server.store.faults
        for path, answer in UNKNOWN.items():
            if self.path.endswith(path):
                return self._answer(200, [("Content-Type", JSON)], answer)
        if faults.unavailable():
            return self._answer(503, [], b"")
        emulator = http.client.HTTPConnection("127.0.0.1", self.server.emulator)
        with contextlib.closing(emulator):
            headers = {k: v for k, v in self.headers.items() if k.lower() not in HOP}
            headers["Host"] = self.server.store.url.removeprefix("http://")  # objects keep it
            emulator.request(self.command, *_filled(self.path, body, headers))
            response = emulator.getresponse()
            found = [(k, self._own(v)) for k, v in response.getheaders() if k.lower() not in HOP]
            if ("Range", "bytes=0-0") in found:  # of an upload; the true store says nothing
                found.remove(("Range", "bytes=0-0"))
            data = response.read()
        is_media = self.command == "GET" and response.getheader("Content-type") != JSON and data
        self._answer(response.status, found, data, faults if is_media else None)

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = hand_on

    def _own(self, value: str) -> str:
        """Where an upload goes on: at this server, as the client sees it."""
        if isinstance(self.connection, ssl.SSLSocket):
            return value.replace(self.server.store.url, f"https://{NAMES[0]}", 1)
        return value

    def _body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        chunks = []
        while length := int(self.rfile.readline().split(b";")[0], 16):
            chunks.append(self.rfile.read(length))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def _answer(
        self, status: int, headers: list[tuple[str, str]], data: bytes, faults: Faults | None = None
    ) -> None:
        self.send_response_only(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if faults and len(data) > 1 and faults.cut():
            self.wfile.write(data[: len(data) // 2])
            self.close_connection = True
            return
        slow = bool(faults and faults.is_slow(self.path))
        for start in range(0, len(data), PIECE if slow else max(len(data), 1)):
            time.sleep(PAUSE * slow)
            self.wfile.write(data[start : start + (PIECE if slow else len(data))])

    def log_message(self, *args: object) -> None:
        """Nothing: thousands of requests are in order."""


def _filled(path: str, body: bytes, headers: dict[str, str]) -> tuple[str, bytes, dict[str, str]]:
    """The request; an upload of nothing in two parts, as the emulator falls over an empty body."""
    if body or "uploadType=media" not in path:
        return path, body, headers
    parts = b"--x\r\nContent-Type: application/json\r\n\r\n{}\r\n--x\r\n\r\n\r\n--x--\r\n"
    kind = {"Content-Type": "multipart/related; boundary=x"}
    return path.replace("=media", "=multipart"), parts, headers | kind


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    store: Store
    emulator: int  # its port
    tls: ssl.SSLContext

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that is killed in the middle is in order."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


@contextlib.contextmanager
def store(folder: pathlib.Path) -> Iterator[Store]:
    """A bucket, in memory, until the block ends.

    Args:
      folder: for logs, keys and certificates.
    """
    port = services.free_port()
    words = [sys.executable, "-m", "gcp_storage_emulator", "start", "--quiet", "--in-memory"]
    words += ["--host=127.0.0.1", f"--port={port}", "--default-bucket=bucket"]
    with (
        services.running(words, folder / "emulator.log", port),
        _Server(("127.0.0.1", 0), Front) as front,
    ):
        url = f"http://127.0.0.1:{front.server_port}"
        front.emulator = port
        front.store = Store(Faults(), _environment(folder, url), url)
        front.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        front.tls.load_cert_chain(folder / "certificate.pem", folder / "key.pem")
        threading.Thread(target=front.serve_forever, daemon=True).start()
        try:
            yield front.store
        finally:
            front.shutdown()


def _environment(folder: pathlib.Path, url: str) -> dict[str, str]:
    """Writes a certificate and a service account's key; gives what points to them."""
    key = rsa.generate_private_key(65537, 2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    (folder / "key.pem").write_bytes(pem)
    (folder / "certificate.pem").write_bytes(_certificate(key))
    account = {
        "type": "service_account",
        "project_id": "project",
        "client_email": "tests@project.example",
        "private_key": pem.decode(),
        "token_uri": f"{url}/token",
    }
    (folder / "account.json").write_text(json.dumps(account))
    return {
        "STORAGE_EMULATOR_HOST": url,
        "GOOGLE_APPLICATION_CREDENTIALS": str(folder / "account.json"),
        "GOOGLE_AUTH_TOKEN_FOR_TESTING": "t",  # TensorFlow's
        "https_proxy": url,
        "no_proxy": "127.0.0.1,localhost",
        "CURL_CA_BUNDLE": str(folder / "certificate.pem"),
        "REQUESTS_CA_BUNDLE": str(folder / "certificate.pem"),
        "GCS_RETRY_CONFIG_INIT_DELAY_TIME_US": "10000",
    }


def _certificate(key: rsa.RSAPrivateKey) -> bytes:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "gld2 tests")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(n) for n in NAMES]), False)
        .add_extension(x509.BasicConstraints(True, None), True)
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM)
