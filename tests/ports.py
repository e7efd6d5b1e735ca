"""Ports for servers that cannot say which one they were given."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def held_port() -> Iterator[int]:
    """A port of this machine for a server to listen on, kept from all others.

    A socket is bound to it that does not listen. Linux then gives the port to no connection and to nobody who asks for
    any port, and lets a server listen there that sets SO_REUSEADDR, as servers do (`man 7 socket`). A port that was
    merely free a moment ago is now and then somebody's connection by the time the server starts.
    """
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        yield int(holder.getsockname()[1])


def is_listening(port: int) -> bool:
    """Whether somebody listens there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
