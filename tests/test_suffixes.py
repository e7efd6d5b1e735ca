"""A list of allowed hosts says who is meant: a public suffix does not."""

import subprocess
import sys

import pytest

from redirector.destinations import ascii_host
from redirector.errors import InvalidSetting
from redirector.suffixes import expect_registrable


@pytest.mark.parametrize(
    "host",
    [
        "com",
        "co.uk",
        "CO.UK",
        "co.uk.",
        "github.io",
        "s3.amazonaws.com",
        "公司.cn",
        "xn--55qx5d.cn",
        "рф",
        "intranet",
        "anything.ck",
    ],
)
def test_public_suffix_is_refused(host: str) -> None:
    """The refusal names the setting, the entry as it is compared, and what to write instead."""
    with pytest.raises(InvalidSetting) as refused:
        expect_registrable(["example.com", ascii_host(host)], "destinations_allowed")

    assert (refused.value.field, refused.value.part) == ("destinations_allowed", ascii_host(host))
    assert "anybody can register a name below it" in refused.value.detail
    assert refused.value.remedy == f"name the domains that you mean, such as example.{ascii_host(host)}"


@pytest.mark.parametrize(
    "host",
    [
        "example.com",
        "example.co.uk",
        "shop.example.com",
        "user.github.io",
        "食狮.公司.cn",
        "www.ck",
        "8.8.8.8",
        "[2606:4700::1]",
    ],
)
def test_registrable_domain_is_taken(host: str) -> None:
    """A domain of somebody's, a host in it, and an address say who is meant."""
    expect_registrable([ascii_host(host)], "destinations_allowed")


def test_redirects_never_load_the_list() -> None:
    """The process that answers readers pays nothing for the list of public suffixes, also with a list of hosts."""
    code = """if True:
        import sys
        from redirector.places import expect_places, hosts_of
        from redirector.settings import Settings
        settings = Settings(destinations_allowed=["example.com"])
        hosts_of(settings)
        before = "publicsuffixlist" in sys.modules
        expect_places(settings)
        sys.exit(before or "publicsuffixlist" not in sys.modules)
    """

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
