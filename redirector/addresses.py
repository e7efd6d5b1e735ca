"""Which IP addresses belong to the public internet: the only ones that a link may lead to, or that a check asks.

The table is written out, not taken from `ipaddress`, whose idea of `is_global` differs between Python's versions.
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final

# IANA, IPv4 Special-Purpose Address Registry (RFC 6890), and multicast (RFC 5771).
_SPECIAL_V4: Final = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8",  # this network
            "10.0.0.0/8",  # private
            "100.64.0.0/10",  # carriers' NAT; in it lies the metadata of one cloud, 100.100.100.200
            "127.0.0.0/8",  # loopback
            "168.63.129.16/32",  # what every machine of one cloud reaches its host under (Azure, "What is IP address
            # 168.63.129.16?"); no registry lists it
            "169.254.0.0/16",  # link-local; in it lies the metadata of most clouds, 169.254.169.254
            "172.16.0.0/12",  # private
            "192.0.0.0/24",  # IETF protocol assignments
            "192.0.2.0/24",  # documentation
            "192.31.196.0/24",  # AS112
            "192.52.193.0/24",  # AMT
            "192.88.99.0/24",  # relays of 6to4, deprecated
            "192.168.0.0/16",  # private
            "192.175.48.0/24",  # AS112
            "198.18.0.0/15",  # benchmarking
            "198.51.100.0/24",  # documentation
            "203.0.113.0/24",  # documentation
            "224.0.0.0/4",  # multicast
            "240.0.0.0/4",  # reserved, and broadcast
        ),
    )
)

# IANA gives out no other IPv6 addresses: mapped, NAT64 (64:ff9b::/96), unique local (fc00::/7, with the metadata of
# one cloud, fd00:ec2::254), link-local and multicast ones are outside.
_UNICAST_V6: Final = IPv6Network("2000::/3")

# IANA, IPv6 Special-Purpose Address Registry, as far as it lies within.
_SPECIAL_V6: Final = tuple(
    map(
        IPv6Network,
        (
            "2001::/23",  # IETF protocol assignments: Teredo, benchmarking, ORCHID
            "2001:db8::/32",  # documentation
            "2002::/16",  # 6to4: an IPv4 address in disguise
            "2620:4f:8000::/48",  # AS112
            "3fff::/20",  # documentation
        ),
    )
)


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether the address is one of the public internet's own."""
    if isinstance(address, IPv4Address):
        return not any(address in special for special in _SPECIAL_V4)
    # An address with a zone (fe80::1%eth0) means something on one machine only.
    return (
        address in _UNICAST_V6 and address.scope_id is None and not any(address in special for special in _SPECIAL_V6)
    )
