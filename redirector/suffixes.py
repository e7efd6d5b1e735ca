"""Which domains anybody can register names under: a list of allowed hosts must not name one of those.

The Public Suffix List comes with the package `publicsuffixlist`; nothing is ever fetched.
"""

from collections.abc import Iterable
from functools import cache
from ipaddress import ip_address
from typing import TYPE_CHECKING

from redirector.errors import InvalidSetting

if TYPE_CHECKING:
    from publicsuffixlist import PublicSuffixList


def expect_registrable(hosts: Iterable[str], field: str) -> None:
    """Raises InvalidSetting about `field` if one of the hosts (in ASCII) is a public suffix, such as `co.uk`.

    Whoever allows one allows everybody's names below it, and means something else. An address is none.
    """
    for host in hosts:
        if not _is_address(host) and _suffixes().is_public(host):
            raise InvalidSetting(
                "anybody can register a name below it, so it says nothing about who is meant",
                field=field,
                part=host,
                remedy=f"name the domains that you mean, such as example.{host}",
            )


@cache
def _suffixes() -> "PublicSuffixList":
    # Reading the list takes 0.1 s and 3 MB, which no process should pay that has no list of hosts to judge.
    from publicsuffixlist import PublicSuffixList  # noqa: PLC0415

    return PublicSuffixList()


def _is_address(host: str) -> bool:
    try:
        ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True
