"""Which addresses a link may lead to: none but the public internet's, however they are written."""

from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest

from redirector.addresses import is_public
from redirector.destinations import DestinationPolicy
from redirector.errors import InvalidDestination

POLICY = DestinationPolicy(own_hosts=frozenset())

SPECIAL = {
    "this network": "0.0.0.0",  # noqa: S104 - nothing is bound
    "private 10": "10.0.0.1",
    "carriers' NAT": "100.64.0.1",
    "end of carriers' NAT": "100.127.255.255",
    "metadata in carriers' NAT": "100.100.100.200",
    "loopback": "127.0.0.1",
    "end of loopback": "127.255.255.254",
    "host of a cloud's machine": "168.63.129.16",
    "cloud metadata": "169.254.169.254",
    "containers' credentials": "169.254.170.2",
    "private 172": "172.31.255.255",
    "protocol assignments": "192.0.0.192",
    "documentation 1": "192.0.2.1",
    "relay of 6to4": "192.88.99.1",
    "private 192": "192.168.0.1",
    "benchmarking": "198.19.255.255",
    "documentation 2": "198.51.100.1",
    "documentation 3": "203.0.113.1",
    "multicast": "239.255.255.255",
    "reserved": "240.0.0.1",
    "broadcast": "255.255.255.255",
}


def _parts(address: IPv4Address) -> bytes:
    return address.packed


# Every way to write an IPv4 address that a browser, a resolver or a router takes for one.
NOTATIONS: dict[str, Callable[[IPv4Address], str]] = {
    "dotted": str,
    "dot behind": lambda ip: f"{ip}.",
    "decimal": lambda ip: str(int(ip)),
    "hexadecimal": lambda ip: hex(int(ip)),
    "hexadecimal in capitals": lambda ip: hex(int(ip)).upper(),
    "octal": lambda ip: f"0{int(ip):o}",
    "two parts": lambda ip: f"{_parts(ip)[0]}.{int(ip) & 0xFFFFFF}",
    "three parts": lambda ip: f"{_parts(ip)[0]}.{_parts(ip)[1]}.{int(ip) & 0xFFFF}",
    "octal parts": lambda ip: ".".join(f"0{part:o}" for part in _parts(ip)),
    "padded octal parts": lambda ip: ".".join(f"{part:04o}" for part in _parts(ip)),
    "hexadecimal parts": lambda ip: ".".join(hex(part) for part in _parts(ip)),
    "mixed": lambda ip: f"{hex(_parts(ip)[0])}.0{_parts(ip)[1]:o}.{int(ip) & 0xFFFF}",
    "full-width": lambda ip: "".join(chr(ord(c) - 0x30 + 0xFF10) if c.isdigit() else c for c in str(ip)),
    "full-width dots": lambda ip: str(ip).replace(".", "\uff0e"),
    "ideographic dots": lambda ip: str(ip).replace(".", "\u3002"),
    "circled": lambda ip: "".join("⓪①②③④⑤⑥⑦⑧⑨"[int(c)] if c.isdigit() else c for c in str(ip)),
    "bold": lambda ip: "".join(chr(0x1D7CE + int(c)) if c.isdigit() else c for c in str(ip)),
    "percent-encoded": lambda ip: "".join(f"%{ord(c):02x}" for c in str(ip)),
    "zero-width inside": lambda ip: str(ip).replace(".", ".\u200b", 1),
    "soft hyphen inside": lambda ip: str(ip).replace(".", ".\xad", 1),
    "mapped": lambda ip: f"[::ffff:{ip}]",
    "mapped in hexadecimal": lambda ip: f"[::ffff:{int(ip) >> 16:x}:{int(ip) & 0xFFFF:x}]",
    "mapped, written out": lambda ip: f"[0:0:0:0:0:FFFF:{ip}]",
    "compatible": lambda ip: f"[::{ip}]",
    "translated": lambda ip: f"[::ffff:0:{ip}]",
    "6to4": lambda ip: f"[2002:{int(ip) >> 16:x}:{int(ip) & 0xFFFF:x}::1]",
    "Teredo server": lambda ip: f"[2001:0:{int(ip) >> 16:x}:{int(ip) & 0xFFFF:x}::1]",
    "Teredo client": lambda ip: (
        f"[2001:0:808:808:0:0:{(int(ip) ^ 0xFFFFFFFF) >> 16:x}:{(int(ip) ^ 0xFFFFFFFF) & 0xFFFF:x}]"
    ),
    "NAT64": lambda ip: f"[64:ff9b::{ip}]",
    "local NAT64": lambda ip: f"[64:ff9b:1::{ip}]",
}

SPECIAL_V6 = {
    "unspecified": "::",
    "loopback": "::1",
    "discard": "100::1",
    "unique local": "fc00::1",
    "cloud metadata": "fd00:ec2::254",
    "cloud metadata 2": "fd20:ce::254",
    "link-local": "fe80::1",
    "link-local with a zone": "fe80::1%eth0",
    "public with a zone": "2606:4700::1%eth0",
    "site-local": "fec0::1",
    "multicast": "ff02::1",
    "benchmarking": "2001:2::1",
    "ORCHID": "2001:20::1",
    "documentation": "2001:db8::1",
    "new documentation": "3fff::1",
    "segment routing": "5f00::1",
    "AS112": "2620:4f:8000::1",
}


@pytest.mark.parametrize("address", SPECIAL.values(), ids=SPECIAL)
@pytest.mark.parametrize("notation", NOTATIONS.values(), ids=NOTATIONS)
def test_special_address_is_refused_in_every_notation(address: str, notation: Callable[[IPv4Address], str]) -> None:
    """No way to write an address of no public network makes it a destination."""
    host = notation(IPv4Address(address))

    with pytest.raises(InvalidDestination) as refused:
        POLICY.accept(f"http://{host}/latest/meta-data/")

    assert refused.value.reason in {
        "private_address", "odd_address", "odd_host", "encoded_host", "invisible_character", "malformed",
    }  # fmt: skip


@pytest.mark.parametrize("address", SPECIAL_V6.values(), ids=SPECIAL_V6)
def test_special_ipv6_address_is_not_public(address: str) -> None:
    """Addresses with a meaning of their own are not the public internet's."""
    assert not is_public(IPv6Address(address))


@pytest.mark.parametrize("address", SPECIAL.values(), ids=SPECIAL)
def test_special_address_is_not_public(address: str) -> None:
    """What a name resolves to is judged by the same table as what stands in a URL."""
    assert not is_public(IPv4Address(address))


@pytest.mark.parametrize(
    "address",
    [
        "1.1.1.1",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.1",
        "168.63.129.15",
        "169.253.255.255",
        "172.15.255.255",
        "172.32.0.0",
        "192.0.1.0",
        "198.17.255.255",
        "198.20.0.0",
        "223.255.255.255",
        "2606:4700::1",
        "2001:200::1",
        "2001:4860:4860::8888",
        "2a00::1",
        "3ffe:ffff::1",
    ],
)
def test_other_addresses_are_public(address: str) -> None:
    """The networks beside the special ones are the public internet."""
    assert is_public(ip_address(address))


@pytest.mark.parametrize(
    "host",
    [
        "metadata.google.internal",
        "METADATA.google.internal.",
        "instance-data.ec2.internal",
        "metadata",
        "localhost",
        "localhost.",
        "a.localhost",
        "metadata.goog.internal",
    ],
)
def test_names_of_metadata_are_refused(host: str) -> None:
    """A name that means something only inside a cloud or a machine is no destination."""
    with pytest.raises(InvalidDestination) as refused:
        POLICY.accept(f"http://{host}/computeMetadata/v1/")

    assert refused.value.reason in {"local_name", "single_label"}
