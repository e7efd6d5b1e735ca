"""Settings: where each comes from, and what is refused in which words."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from redirector.errors import InvalidSetting
from redirector.hosts import PublicHost
from redirector.origins import Origin, load, unknown_variables
from redirector.settings import Settings, shown, without_settings
from tests.builders import SECRET

OTHER_SECRET = "fedcba9876543210fedcba9876543210"

# Name, then the text of a value for a file, for the environment and for a flag, and what the flag's comes out as.
KINDS = {
    "path": ("data_dir", "/file", "/environment", "/flag", Path("/flag")),
    "text": ("store_prefix", "file", "environment", "flag", "flag"),
    "number": ("public_port", "1", "2", "3", 3),
    "choice": ("log_level", "debug", "warning", "error", "error"),
    "address": ("public_host", "127.0.0.2", "127.0.0.3", "::1", "::1"),
    "secret": ("secret", SECRET + "1", SECRET + "2", SECRET + "3", SecretStr(SECRET + "3")),
    "secret URL": ("store_url", "redis://a", "redis://b", "redis://c", SecretStr("redis://c")),
    "list": ("destinations_allowed", "a.example", "b.example", "c.example,d.example", ("c.example", "d.example")),
}

GOOD = [
    ("data_dir", "/srv/redirector", Path("/srv/redirector")),
    ("base_url", "https://news.example.com", "https://news.example.com"),
    ("base_url", "http://127.0.0.1:8080/", "http://127.0.0.1:8080"),
    ("base_url", "https://[2001:db8::1]", "https://[2001:db8::1]"),
    ("operator_name", "Stadtwerke Köln", "Stadtwerke Köln"),
    ("operator_contact", "privacy.desk+mail@news.example.com", "privacy.desk+mail@news.example.com"),
    ("operator_contact", "https://www.example.com/contact?from=mail", "https://www.example.com/contact?from=mail"),
    ("operator_policy_url", "https://www.example.com/privacy", "https://www.example.com/privacy"),
    ("hosts", '[{"base_url": "https://go.example.org/"}]', (PublicHost(base_url="https://go.example.org"),)),
    ("public_host", "192.0.2.1", "192.0.2.1"),
    ("internal_host", "::", "::"),
    ("public_port", "0", 0),
    ("internal_port", "65535", 65535),
    ("workers", "256", 256),
    ("log_level", "debug", "debug"),
    ("log_format", "json", "json"),
    ("secret", SECRET, SecretStr(SECRET)),
    ("signing_keys", f"{OTHER_SECRET}, {SECRET}", (SecretStr(OTHER_SECRET), SecretStr(SECRET))),
    ("store_url", "redis://:pass%40word@valkey:6379/0", SecretStr("redis://:pass%40word@valkey:6379/0")),
    ("store_url", "rediss://valkey", SecretStr("rediss://valkey")),
    ("store_url", "unix:///run/valkey.sock?db=1", SecretStr("unix:///run/valkey.sock?db=1")),
    ("store_prefix", "clicks:prod", "clicks:prod"),
    ("store_appendfsync", "always", "always"),
    ("destinations_allowed", " example.com ,, shop.example ", ("example.com", "shop.example")),
    ("destinations_allowed", '["example.com"]', ("example.com",)),
    ("trusted_proxies", "10.0.0.0/8, 192.0.2.7,2001:db8::/32", ("10.0.0.0/8", "192.0.2.7", "2001:db8::/32")),
    ("destinations_allowed", "[2001:db8::1]", ("[2001:db8::1]",)),
    ("record_deadline_ms", "60000", 60_000),
    ("record_waiting_max", "1", 1),
    ("record_waiting_max", "1000000", 1_000_000),
    ("spool_max_bytes", str(2**60), 2**60),
    ("count_claim_after_ms", "100", 100),
    ("count_claim_after_ms", "3600000", 3_600_000),
    ("links_in_memory", "1", 1),
    ("links_in_memory", "100000000", 100_000_000),
    ("topics_max", "10000", 10_000),
    ("body_max_bytes", "1024", 1_024),
    ("body_max_bytes", "1073741824", 2**30),
]

BAD = [
    ("data_dir", "~nobody-of-this-name/x", "home directory"),
    ("hosts", '[{"base_url": "go.example.org"}]', "in its table 0 base_url: must be the public address"),
    ("hosts", '[{"base_url": ""}]', "in its table 0 base_url: "),
    ("hosts", "[{}]", "in its table 0 base_url: field required"),
    (
        "hosts",
        '[{"base_url": "https://a.example", "fallbak_url": "https://b.example"}]',
        "in its table 0 fallbak_url: ",
    ),
    ("hosts", '[{"base_url": "https://a.example"}, {"base_url": "http://A.example:81"}]', "a.example stands twice"),
    ("hosts", "go.example.org", "in its table 0: "),
    ("base_url", "news.example.com", "public address"),
    ("trusted_proxies", "*", "anybody could then forge"),
    ("trusted_proxies", "10.0.0.0/8,0.0.0.0/0", "anybody could then forge"),
    ("trusted_proxies", "::/0", "anybody could then forge"),
    ("trusted_proxies", "proxy.example.com", "no network like"),
    ("trusted_proxies", "10.0.0.1/8", "has host bits set"),
    ("unknown_codes_per_minute", "-1", "greater than or equal to 0"),
    ("privacy_requests_per_minute", "-1", "greater than or equal to 0"),
    ("api_requests_per_second", "0", "greater than or equal to 1"),
    ("base_url", "ftp://news.example.com", "public address"),
    ("base_url", "https://", "public address"),
    ("base_url", "https://news.example.com:http", "not a URL"),
    ("base_url", "https://:x@news.example.com", "must be plain"),
    ("base_url", "https://news.example.com/?a=1", "must be plain"),
    ("base_url", "https://news.example.com/?", "must be plain"),
    ("base_url", "https://news.example.com/#a", "must be plain"),
    ("base_url", "https://news.example.com/a b", "must be plain"),
    ("base_url", "https://news.example.com/a\x7fb", "must be plain"),
    ("base_url", "https://bücher.example", "must be plain"),
    ("base_url", "https://news.example.com/track", "must have no path"),
    ("base_url", "https://news.example.com//c/", "must have no path"),
    ("base_url", "https://a*b.example", "'a*b.example' is no host"),
    ("operator_name", "x" * 101, "100 printable"),
    ("operator_name", "a\nb", "100 printable"),
    ("operator_contact", "nobody", "e-mail address or an https URL"),
    ("operator_contact", "http://www.example.com/", "e-mail address or an https URL"),
    ("operator_contact", "a b@example.com", "e-mail address or an https URL"),
    ("operator_contact", "a@example.com?cc=b@example.com", "e-mail address or an https URL"),
    ("operator_contact", "a@-example-.com,b@example.com", "e-mail address or an https URL"),
    ("operator_contact", "https://", "whole https URL"),
    ("operator_policy_url", "www.example.com/privacy", "whole https URL"),
    ("operator_policy_url", "javascript:alert(1)//https://", "whole https URL"),
    ("operator_policy_url", "https://www.example.com:x/", "not a URL"),
    ("operator_policy_url", 'https://www.example.com/"onclick=', "plain URL"),
    ("operator_policy_url", "https://user@www.example.com/", "plain URL"),
    ("public_host", "localhost", "IP address"),
    ("internal_host", "127.0.0.1:9090", "IP address"),
    ("public_port", "65536", "65535"),
    ("internal_port", "-1", "0"),
    ("public_port", "http", "integer"),
    ("workers", "0", "1"),
    ("workers", "257", "256"),
    ("log_level", "loud", "'debug', 'info', 'warning' or 'error'"),
    ("secret", "short", "32 characters"),
    ("signing_keys", f"{SECRET},short", "32 characters"),
    ("store_url", "http://valkey", "redis://"),
    ("store_url", "valkey:6379", "redis://"),
    ("store_url", "redis://", "name a host"),
    ("store_url", "redis://valkey:port", "not a URL"),
    ("store_url", "redis://[::1", "not a URL"),
    ("store_url", "unix://run/valkey.sock", "absolute path"),
    ("store_prefix", "{0}", "braces"),
    ("store_prefix", "a\nb", "printable"),
    ("store_appendfsync", "no", "'everysec' or 'always'"),
    ("destinations_allowed", "example.com,*.x.example", "'*.x.example' is no host"),
    ("destinations_allowed", "https://example.com", "'https://example.com' is no host"),
    ("record_deadline_ms", "0", "1"),
    ("record_deadline_ms", "60001", "60000"),
    ("record_waiting_max", "0", "1"),
    ("record_waiting_max", "1000001", "less than or equal to 1000000"),
    ("spool_max_bytes", str(2**60 + 1), f"less than or equal to {2**60}"),
    ("count_claim_after_ms", "99", "100"),
    ("count_claim_after_ms", "3600001", "less than or equal to 3600000"),
    ("links_in_memory", "0", "1"),
    ("links_in_memory", "100000001", "less than or equal to 100000000"),
    ("topics_max", "10001", "10000"),
    ("body_max_bytes", "1023", "1024"),
    ("body_max_bytes", "1073741825", "less than or equal to 1073741824"),
]


def a_file(directory: Path, text: str | bytes) -> Path:
    """A configuration file with this text."""
    path = directory / "redirector.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def toml(name: str, text: str) -> str:
    """A setting as a line of TOML: JSON's strings are also TOML's."""
    return f"{name} = {json.dumps(text)}".replace("\x7f", "\\u007F")


def variable(name: str) -> str:
    """The setting's environment variable."""
    return "REDIRECTOR_" + name.upper()


@pytest.mark.parametrize("kind", KINDS)
def test_flag_goes_before_environment(tmp_path: Path, kind: str) -> None:
    """A flag is taken even when the environment and the file have the setting too."""
    name, in_file, in_environment, flag, value = KINDS[kind]

    settings, origins = load({name: flag}, {variable(name): in_environment}, a_file(tmp_path, toml(name, in_file)))

    assert getattr(settings, name) == value
    assert origins[name] == Origin("flag", "--" + name.replace("_", "-"))


@pytest.mark.parametrize("kind", KINDS)
def test_environment_goes_before_file(tmp_path: Path, kind: str) -> None:
    """Without a flag, a variable is taken even when the file has the setting too."""
    name, in_file, in_environment, _, _ = KINDS[kind]

    settings, origins = load({name: None}, {variable(name): in_environment}, a_file(tmp_path, toml(name, in_file)))

    assert getattr(settings, name) == getattr(Settings.model_validate({name: in_environment}), name)
    assert origins[name] == Origin("environment", variable(name))


@pytest.mark.parametrize("kind", KINDS)
def test_file_goes_before_default(tmp_path: Path, kind: str) -> None:
    """Without flag and variable the file is taken; an empty variable is no variable."""
    name, in_file, _, _, _ = KINDS[kind]
    path = a_file(tmp_path, toml(name, in_file))

    settings, origins = load({}, {variable(name): ""}, path)

    assert getattr(settings, name) == getattr(Settings.model_validate({name: in_file}), name)
    assert origins[name] == Origin("file", f"{name} in {path}")


@pytest.mark.parametrize("kind", KINDS)
def test_default_comes_last(kind: str) -> None:
    """A setting that stands nowhere has its default."""
    name = KINDS[kind][0]

    settings, origins = load({}, {})

    assert getattr(settings, name) == getattr(Settings(), name)
    assert origins[name] == Origin("default", name)


@pytest.mark.parametrize(("name", "text", "value"), GOOD)
def test_good_value_is_taken(name: str, text: str, value: object) -> None:
    """Each setting takes what is right for it."""
    settings, _ = load({}, {variable(name): text})

    assert getattr(settings, name) == value


@pytest.mark.parametrize(("name", "text", "reason"), BAD)
def test_bad_variable_is_refused(name: str, text: str, reason: str) -> None:
    """A wrong variable's refusal names the variable, the reason and the remedy."""
    with pytest.raises(InvalidSetting) as refused:
        load({}, {variable(name): text})

    assert refused.value.field == variable(name)
    assert reason in refused.value.detail
    assert refused.value.remedy == f"config/redirector.toml explains {name}"


@pytest.mark.parametrize(("name", "text", "reason"), BAD)
def test_bad_flag_is_refused(name: str, text: str, reason: str) -> None:
    """A wrong flag's refusal names the flag and the reason."""
    with pytest.raises(InvalidSetting) as refused:
        load({name: text}, {})

    assert refused.value.field == "--" + name.replace("_", "-")
    assert reason in refused.value.detail


@pytest.mark.parametrize(("name", "text", "reason"), BAD)
def test_bad_value_in_a_file_is_refused(tmp_path: Path, name: str, text: str, reason: str) -> None:
    """A wrong value in a file is refused with the key as it stands there, and the file."""
    table, _, key = name.partition("_")
    written, named = (f"[{table}]\n{toml(key, text)}", f"{table}.{key}") if key else (toml(name, text), name)
    path = a_file(tmp_path, written)

    with pytest.raises(InvalidSetting) as refused:
        load({}, {}, path)

    assert refused.value.field == f"{named} in {path}"
    assert reason in refused.value.detail


SHOWN_PARTS = [
    ("public_port", "http", "http"),
    ("log_level", "loud", "loud"),
    ("base_url", "https://user:secret@news.example.com", "https://***@news.example.com"),
    ("store_url", "http://user:secret@valkey/0", "http://***@valkey/0"),
    ("store_url", "redis://user:se/cr?et#@valkey:6379", "redis://***"),
    ("store_url", "http://valkey?password=secret", "http://valkey?***"),
    ("store_url", "redis://user:secret", "redis://***"),
    ("store_url", "valkey:6379", "valkey:6379"),
    ("store_url", "user:secret@valkey:6379", "***"),
    ("secret", "short", ""),
    ("signing_keys", "short", ""),
]


@pytest.mark.parametrize(("name", "text", "part"), SHOWN_PARTS)
def test_refusal_shows_the_value_without_secrets(name: str, text: str, part: str) -> None:
    """What was wrong is quoted, but for what may be a secret."""
    with pytest.raises(InvalidSetting) as refused:
        load({}, {variable(name): text})

    assert refused.value.part == part


def test_empty_prefix_is_refused(tmp_path: Path) -> None:
    """Keys without a prefix would be everybody's."""
    with pytest.raises(InvalidSetting, match="printable"):
        load({}, {}, a_file(tmp_path, 'store_prefix = ""'))


@pytest.mark.parametrize("name", ["secret", "store_prefix", "data_dir", "store_url"])
def test_nul_is_refused(tmp_path: Path, name: str) -> None:
    """A NUL, which could not be handed down to the processes of `serve`, is refused at once."""
    text = {"store_url": "redis://:a\\u0000b@valkey", "data_dir": "/a\\u0000b"}.get(name, SECRET + "\\u0000")

    with pytest.raises(InvalidSetting):
        load({}, {}, a_file(tmp_path, f'{name} = "{text}"'))


# --- the file


def test_tables_and_flat_keys_are_the_same(tmp_path: Path) -> None:
    """A table is only a shorter way to write the same names."""
    flat = load({}, {}, a_file(tmp_path, 'public_port = 1\nstore_url = "redis://valkey"\nworkers = 2'))[0]

    tables = load({}, {}, a_file(tmp_path, 'workers = 2\n[public]\nport = 1\n[store]\nurl = "redis://valkey"'))[0]

    assert tables == flat


@pytest.mark.parametrize(
    ("text", "key", "remedy"),
    [
        ("public_prot = 1", "public_prot", "did you mean public_port?"),
        ("[public]\nprot = 1", "public.prot", "did you mean public_port?"),
        ("[pubic]\nport = 1", "pubic.port", "did you mean public_port?"),
        ("[workers]\ncount = 1", "workers.count", "did you mean workers?"),
        ("zzz = 1", "zzz", "remove it"),
        ("[[public]]\nport = 1", "public", "did you mean public_port?"),
    ],
)
def test_unknown_key_is_refused(tmp_path: Path, text: str, key: str, remedy: str) -> None:
    """A key that is no setting is refused by its name in the file, with the setting that was perhaps meant."""
    path = a_file(tmp_path, text)

    with pytest.raises(InvalidSetting) as refused:
        load({}, {}, path)

    assert refused.value.field == key
    assert str(path) in refused.value.detail
    assert refused.value.remedy == remedy


@pytest.mark.parametrize(
    "text",
    [b"public_port = ", b'base_url = "\xff"', b"workers = " + b"9" * 5_000, b"\xff\xfea\0"],
    ids=["no value", "not UTF-8", "a number of 5,000 digits", "UTF-16"],
)
def test_file_that_is_no_toml_is_refused(tmp_path: Path, text: bytes) -> None:
    """A file that is not TOML is refused by its path."""
    path = a_file(tmp_path, text)

    with pytest.raises(InvalidSetting, match="is not TOML") as refused:
        load({}, {}, path)

    assert (refused.value.field, refused.value.part) == ("--config", str(path))


@pytest.mark.parametrize("named_by", ["--config", "REDIRECTOR_CONFIG"])
@pytest.mark.parametrize(("name", "reason"), [("missing", "No such file"), ("", "Is a directory")])
def test_unreadable_file_is_refused(tmp_path: Path, named_by: str, name: str, reason: str) -> None:
    """A file that is not there, or is none, is refused; the error says what named it."""
    path = tmp_path / name

    with pytest.raises(InvalidSetting, match=reason) as refused:
        load({}, {named_by: str(path)}, path if named_by == "--config" else None)

    assert (refused.value.field, refused.value.part) == (named_by, str(path))


@contextmanager
def as_nobody() -> Iterator[None]:
    """Without the privileges of root, if the tests run as root."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(before)


def test_file_without_permission_is_refused(tmp_path: Path) -> None:
    """A file that may not be read is refused."""
    path = a_file(tmp_path, "")
    path.chmod(0)

    with as_nobody(), pytest.raises(InvalidSetting, match="Permission denied"):
        load({}, {}, path)


def test_file_can_be_named_by_the_environment(tmp_path: Path) -> None:
    """REDIRECTOR_CONFIG names the file when no flag does."""
    path = a_file(tmp_path, "workers = 7")

    assert load({}, {"REDIRECTOR_CONFIG": str(path)})[0].workers == 7


# --- where everything is kept


def test_data_directory_follows_xdg(monkeypatch: pytest.MonkeyPatch) -> None:
    """The default data directory lies under $XDG_DATA_HOME."""
    monkeypatch.setenv("XDG_DATA_HOME", "/data/home")

    assert load({}, {})[0].data_dir == Path("/data/home/redirector")


@pytest.mark.parametrize("xdg", ["", "data/home"], ids=["empty", "relative"])
def test_useless_xdg_is_ignored(monkeypatch: pytest.MonkeyPatch, xdg: str) -> None:
    """Without an absolute $XDG_DATA_HOME it lies where the XDG specification says."""
    monkeypatch.setenv("XDG_DATA_HOME", xdg)
    monkeypatch.setenv("HOME", "/home/somebody")

    assert load({}, {})[0].data_dir == Path("/home/somebody/.local/share/redirector")


def test_tilde_is_the_home_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A shell does not expand ~ in files, so the program does."""
    monkeypatch.setenv("HOME", "/home/somebody")

    assert load({}, {"REDIRECTOR_DATA_DIR": "~/clicks"})[0].data_dir == Path("/home/somebody/clicks")


def test_relative_data_directory_becomes_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The data directory is where the command was started, wherever its processes are."""
    monkeypatch.chdir(tmp_path)

    assert load({"data_dir": Path("clicks")}, {})[0].data_dir == tmp_path / "clicks"


def test_base_url_is_by_default_this_machines_own() -> None:
    """Without a base URL, tracked URLs lead to the public port of this machine."""
    assert Settings(public_port=81).public_base_url() == "http://localhost:81"
    assert Settings(base_url="https://news.example.com/").public_base_url() == "https://news.example.com"


def test_hosts_are_tables_of_the_file(tmp_path: Path) -> None:
    """Each [[hosts]] is a host; a path that is not absolute is meant from where the command was started."""
    path = a_file(
        tmp_path,
        '[[hosts]]\nbase_url = "https://go.example.org/"\nassetlinks = "/a.json"\n[[hosts]]\nbase_url = "https://b.example"',
    )

    settings, origins = load({}, {}, path)

    assert settings.base_urls() == ("http://localhost:8080", "https://go.example.org", "https://b.example")
    assert settings.hosts[0].files() == {"/.well-known/assetlinks.json": Path("/a.json")}
    assert origins["hosts"].name == f"hosts in {path}"
    assert json.loads(shown("hosts", settings.hosts))[1] == {"base_url": "https://b.example"}


# --- the environment

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)


NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30)
HOSTS = st.sampled_from(["example.com", "bücher.example.", "8.8.8.8", "[2606:4700::1]", "2606:4700::1", "a,b.example"])
LONG_ENOUGH = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=32, max_size=50)
VALID = st.builds(
    Settings,
    data_dir=NAMES.map(lambda name: Path("/data") / name.lstrip("/")),
    base_url=st.sampled_from(["", "https://news.example.com", "http://[::1]:8080"]),
    hosts=st.lists(
        st.builds(
            PublicHost,
            base_url=st.sampled_from(["https://go.example.org", "http://[::1]:81", "https://b.example"]),
            fallback_url=TEXT,
            assetlinks=st.none() | NAMES.map(lambda name: Path("/files") / name.lstrip("/")),
        ),
        max_size=2,
        unique_by=lambda host: host.base_url,
    ),
    public_host=st.ip_addresses().map(str),
    public_port=st.integers(0, 65535),
    workers=st.integers(1, 256),
    log_level=st.sampled_from(["debug", "info", "warning", "error"]),
    log_format=st.sampled_from(["text", "json"]),
    secret=LONG_ENOUGH | st.just(""),
    signing_keys=st.lists(LONG_ENOUGH, max_size=3),
    store_url=TEXT.map(lambda password: f"redis://:{quote(password, safe='')}@valkey:6379/0") | st.just(""),
    store_prefix=st.text(st.characters(exclude_characters="{}"), min_size=1).filter(str.isprintable),
    store_appendfsync=st.sampled_from(["everysec", "always"]),
    destinations_allowed=st.lists(HOSTS, max_size=3),
    body_max_bytes=st.integers(1_024, 2**30),
)


@given(VALID)
def test_environment_carries_every_setting(settings: Settings) -> None:
    """What `serve` hands down as variables comes out as the same settings, whatever is in their texts."""
    assert load({}, settings.environment())[0] == settings


def test_environment_is_cleared_of_settings() -> None:
    """A process whose settings are given gets none from the shell, but for the wish to debug."""
    environment = {"PATH": "/bin", "REDIRECTOR_SECRET": SECRET, "REDIRECTOR_CONFIG": "/x", "REDIRECTOR_DEBUG": "1"}

    assert without_settings(environment) == {"PATH": "/bin", "REDIRECTOR_DEBUG": "1"}


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("REDIRECTOR_PUBLIC_PROT", "REDIRECTOR_PUBLIC_PORT"),
        ("REDIRECTOR_STOREURL", "REDIRECTOR_STORE_URL"),
        ("REDIRECTOR_SIGNING_KEY", "REDIRECTOR_SIGNING_KEYS"),
        ("REDIRECTOR_APIKEY", "REDIRECTOR_API_KEY"),
    ],
)
def test_near_miss_is_reported(name: str, meant: str) -> None:
    """A variable that is nearly a setting is reported with the one that was meant."""
    assert unknown_variables({name: "1", "PATH": "/bin"}) == [(name, meant)]


@pytest.mark.parametrize(
    "name", ["REDIRECTOR_PORT_8080_TCP_ADDR", "REDIRECTOR_SERVICE_HOST", "REDIRECTOR_URL", "REDIRECTOR_PUBLIC_PORT"]
)
def test_other_variables_are_not_reported(name: str) -> None:
    """What Kubernetes sets for a service of this name is not reported, nor what is right."""
    assert unknown_variables({name: "1"}) == []
