"""nginx, which answers a bare `return 302` unless told otherwise: the least that a redirect can cost."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.ports import held_port, is_listening
from tests.processes import eventually

CONFIGURATION: Final = """
daemon off;
worker_processes 1;
pid {prefix}/nginx.pid;
error_log stderr error;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  keepalive_requests 1000000000;
  client_body_temp_path {prefix}/body;
  proxy_temp_path {prefix}/proxy;
  fastcgi_temp_path {prefix}/fastcgi;
  uwsgi_temp_path {prefix}/uwsgi;
  scgi_temp_path {prefix}/scgi;
  {before}
  server {{
    listen 127.0.0.1:{port};
    {server}
  }}
}}
"""


BARE: Final = "location / { return 302 https://www.example.com/offer?a=1&b=2; }"


def missing_programs() -> list[str]:
    """What of the two system programs is not installed."""
    return [name for name in ("nginx", "wrk") if shutil.which(name) is None]


@contextmanager
def nginx(prefix: Path, server: str = BARE, before: str = "") -> Iterator[tuple[str, int]]:
    """One worker on a free port, with everything of its own below `prefix`; yields its URL and process id.

    `server` stands in its server's block, `before` ahead of that.
    """
    with held_port() as port:
        configuration = prefix / "nginx.conf"
        configuration.write_text(
            CONFIGURATION.format(prefix=prefix, port=port, server=server, before=before), encoding="utf-8"
        )
        process = subprocess.Popen(["nginx", "-p", str(prefix), "-e", "stderr", "-c", str(configuration)])  # noqa: S607
        try:
            eventually(lambda: is_listening(port))
            yield f"http://127.0.0.1:{port}", process.pid
        finally:
            process.terminate()
            process.wait()
