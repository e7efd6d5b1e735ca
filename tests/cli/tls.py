"""A site behind TLS, as readers see one: a certificate of its own, and the one answer that tells a redirector."""

import http.server
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import needed


@dataclass(frozen=True, slots=True)
class TLSSite:
    """Where it is, and the certificate that whoever asks must trust; it is for the name localhost only."""

    url: str
    certificate: Path


class _Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        """Answers as the public port does."""
        body = b'{"gpc": true, "lastUpdate": "2026-11-23"}'
        self.send_response(200 if self.path == "/.well-known/gpc.json" else 404)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


def certified(directory: Path, name: str, *, days: int = 90) -> tuple[Path, ssl.SSLContext]:
    """A certificate for the name, signed by itself, and what a server needs to answer with it."""
    certificate, key = directory / "certificate.pem", directory / "key.pem"
    subprocess.run(
        [
            needed("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
            "-keyout", str(key), "-out", str(certificate), "-days", str(days),
            "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}",
        ],
        check=True,
        capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return certificate, context


@contextmanager
def tls_site(directory: Path, *, days: int = 90) -> Iterator[TLSSite]:
    """A site on a free port whose certificate is good for so many days."""
    certificate, context = certified(directory, "localhost", days=days)
    with http.server.ThreadingHTTPServer(("localhost", 0), _Answers) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield TLSSite(f"https://localhost:{server.server_address[1]}", certificate)
        finally:
            server.shutdown()
            thread.join()
