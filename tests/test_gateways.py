"""The list of gateways, and the digest by which two of them are compared."""

from dataclasses import replace
from pathlib import Path

import pytest

from redirector.gateways import READ_CHARACTERS, Gateways, declared, digest, known

LIST = Gateways(user_agents=("oneoutlook", "barracuda"), native_hosts=("oneoutlook",), hosting=("hetzner",))


def test_digest_does_not_depend_on_the_order() -> None:
    """A text that stands elsewhere in the list, or twice, is found all the same."""
    assert digest(replace(LIST, user_agents=("barracuda", "oneoutlook", "barracuda"))) == digest(LIST)


@pytest.mark.parametrize(
    "other",
    [
        Gateways(),
        replace(LIST, hosting=("hetzner", "acme")),
        replace(LIST, user_agents=("oneoutlookbarracuda",)),
        replace(LIST, native_hosts=(), hosting=("hetzner", "oneoutlook")),
    ],
    ids=["none", "one more", "two as one", "in another place"],
)
def test_other_lists_have_other_digests(other: Gateways) -> None:
    """Whatever would be found elsewhere is another list."""
    assert digest(other) != digest(LIST)


def test_own_gateways_make_another_list(tmp_path: Path) -> None:
    """What an operator adds is in the digest."""
    own = tmp_path / "gateways.toml"
    own.write_text('[networks]\nhosting = ["Acme Datacenters"]\n')

    assert digest(known(str(own))) != digest(known())


def test_what_stands_far_behind_is_not_looked_at() -> None:
    """A header may have kilobytes; as many as are remembered of them must not fill the memory."""
    longest = "x" * (READ_CHARACTERS - len("Barracuda"))

    assert declared(LIST, longest + "Barracuda", "")
    assert not declared(LIST, longest + "xBarracuda", "")
    assert not declared(LIST, "", longest + "x OneOutlook")
