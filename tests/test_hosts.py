"""Which of the configured hosts a request is for, and the files that they serve."""

from pathlib import Path

import pytest

from redirector.app_links import MAX_FILE_BYTES, app_links_in
from redirector.destinations import Destination
from redirector.errors import InvalidDestination, InvalidSetting
from redirector.hosts import HostAnswers, Hosts, host_header
from redirector.places import expect_places, hosts_of, policy_of
from redirector.settings import Settings

MAIN = HostAnswers(Destination("https://main.example/", "https://main.example/"))
GO = HostAnswers(Destination("https://go.example/", "https://go.example/"))
SIX = HostAnswers(Destination("https://six.example/", "https://six.example/"))
HOSTS = Hosts(MAIN, {"go.example.org": GO, "2001:db8::1": SIX})


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("go.example.org", GO),
        ("GO.Example.ORG", GO),
        ("go.example.org:8443", GO),
        ("go.example.org:", GO),
        ("[2001:db8::1]", SIX),
        ("[2001:DB8::1]:443", SIX),
        ("", MAIN),
        ("go.example.org.", MAIN),
        ("www.go.example.org", MAIN),
        ("go.example.org.evil.com", MAIN),
        ("evil.com", MAIN),
        ("evil.com:go.example.org", MAIN),
        ("go.example.org@evil.com", MAIN),
        ("go.example.org/", MAIN),
        ("go.example.org, evil.com", MAIN),
        (" go.example.org", MAIN),
        ("[", MAIN),
        ("]" * 10_000, MAIN),
        ("\xff\x00", MAIN),
    ],
)
def test_host_header_chooses_among_the_configured(header: str, expected: HostAnswers) -> None:
    """A host is matched exactly, in any case and with any port; whatever is none of them is for the main one."""
    assert HOSTS.at(header) is expected


def test_host_header_is_read_as_asgi_has_it() -> None:
    """The first one counts; bytes of any kind are text; without one it is empty."""
    assert host_header([(b"accept", b"*/*"), (b"host", b"a\xff"), (b"host", b"b")]) == "a\xff"
    assert host_header([]) == ""


def settings(*tables: dict[str, object], **others: object) -> Settings:
    """Settings with these hosts."""
    return Settings.model_validate({"base_url": "https://news.example.com", "hosts": tables, **others})


def test_hosts_have_what_is_configured(tmp_path: Path) -> None:
    """Fallback and files are the host's own; a table of the main address is the main host's."""
    (tmp_path / "apple").write_bytes(b'{"applinks": {}}\n')
    (tmp_path / "android").write_bytes(b" []")
    known = settings(
        {"base_url": "https://go.example.org", "fallback_url": "https://www.example.org/ü"},
        {
            "base_url": "https://NEWS.example.com:8443",
            "apple_app_site_association": tmp_path / "apple",
            "assetlinks": tmp_path / "android",
        },
    )

    hosts = hosts_of(known)

    assert hosts.at("go.example.org").fallback == Destination(
        "https://www.example.org/ü", "https://www.example.org/%C3%BC"
    )
    assert hosts.at("go.example.org").files == {}
    assert hosts.at("whoever") is hosts.at("news.example.com")
    assert hosts.main.files == {
        "/.well-known/apple-app-site-association": b'{"applinks": {}}\n',
        "/.well-known/assetlinks.json": b" []",
    }


@pytest.mark.parametrize("host", ["news.example.com", "NEWS.example.com.", "go.example.org:81", "bücher.example"])
def test_every_host_is_our_own(host: str) -> None:
    """No link may lead to any of the hosts, in any spelling and at any port."""
    policy = policy_of(
        settings({"base_url": "https://go.example.org"}, {"base_url": "https://xn--bcher-kva.example:8443"})
    )

    with pytest.raises(InvalidDestination) as refused:
        policy.accept(f"http://{host}/c/x")

    assert refused.value.reason == "own_host"


@pytest.mark.parametrize(
    ("fallback", "part"),
    [
        ("ftp://www.example.org/", "ftp"),
        ("https://go.example.org/", "go.example.org"),
        ("http://127.0.0.1/", "127.0.0.1"),
        ("javascript:alert(1)", "javascript"),
    ],
)
def test_fallback_is_judged_at_start(fallback: str, part: str) -> None:
    """A fallback is a destination like every other; the refusal names the host's table."""
    with pytest.raises(InvalidSetting) as refused:
        expect_places(settings({"base_url": "https://go.example.org", "fallback_url": fallback}))

    assert (refused.value.field, refused.value.part) == ("hosts (https://go.example.org).fallback_url", part)
    assert refused.value.remedy


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "the file cannot be read: No such file or directory"),
        (b"{", "the file is not JSON"),
        (b"\xff\xfe\x00", "the file is not JSON"),
        (b"[" * 100_000, "the file is not JSON"),
        (b" " * (MAX_FILE_BYTES + 1), "the file has more than 131,072 bytes"),
    ],
    ids=["missing", "cut off", "no UTF-8", "deep", "large"],
)
def test_file_is_judged_at_start(tmp_path: Path, content: bytes | None, reason: str) -> None:
    """A file that no phone could read is refused with its name."""
    file = tmp_path / "assetlinks.json"
    if content is not None:
        file.write_bytes(content)

    with pytest.raises(InvalidSetting) as refused:
        app_links_in(file, "hosts (https://go.example.org)")

    assert refused.value.detail.startswith(reason)
    assert (refused.value.field, refused.value.part) == ("hosts (https://go.example.org)", str(file)[:100])


def test_name_with_a_nul_is_refused() -> None:
    """A path that no system has is refused like one that is not there."""
    with pytest.raises(InvalidSetting, match="cannot be read"):
        app_links_in(Path("/a\0b"), "hosts")


def test_directory_is_refused(tmp_path: Path) -> None:
    """A directory is no file."""
    with pytest.raises(InvalidSetting, match="Is a directory"):
        app_links_in(tmp_path, "hosts")
