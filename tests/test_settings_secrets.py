"""No secret of the settings is ever shown: neither in what is explained, nor in a refusal."""

from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from redirector.errors import InvalidSetting
from redirector.origins import load
from redirector.settings import Settings, shown
from tests.builders import SECRET

MARK = "Zq9"
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
MARKED = st.lists(TEXT, min_size=2, max_size=4).map(lambda texts: MARK + MARK.join(texts) + MARK)


def everything_shown(environment: dict[str, str]) -> str:
    """All that a person may get to see of these settings, or of their refusal."""
    try:
        settings, origins = load({}, environment)
    except InvalidSetting as error:
        return f"{error} {error!r} {error.args} {error.detail} {error.part} {error.remedy} {error.__context__}"
    explained = [shown(name, getattr(settings, name)) for name in Settings.model_fields]
    return f"{settings} {settings!r} {explained} {origins}"


@given(MARKED)
def test_secret_is_never_shown(secret: str) -> None:
    """Whatever the secret is, good or refused, nothing that is shown has a piece of it."""
    assert MARK not in everything_shown({"REDIRECTOR_SECRET": secret})


@given(MARKED, MARKED)
def test_signing_key_is_never_shown(first: str, second: str) -> None:
    """The same for each signing key."""
    assert MARK not in everything_shown({"REDIRECTOR_SIGNING_KEYS": f"{first},{second}"})


STORE_URLS = [
    "redis://:{}@valkey:6379/0", "rediss://user:{}@valkey", "redis://{}@valkey", "redis://user:{}@valkey:port",
    "redis://user:{}@[::1", "redis://user:{}@", "redis:/:{}@valkey", "{}@valkey", "user:{}@valkey", "http://:{}@valkey",
    "unix:///run/valkey.sock?password={}", "unix://user:{}@/run/valkey.sock",
    "redis://valkey?db=0&password={}", "redis://valkey:port?ssl_password={}",
]  # fmt: skip


@pytest.mark.parametrize("url", STORE_URLS)
@given(password=MARKED)
def test_password_of_the_store_is_never_shown(url: str, password: str) -> None:
    """No piece of a password is shown, plain or percent-encoded, in a URL that is right or malformed."""
    assert MARK not in everything_shown({"REDIRECTOR_STORE_URL": url.format(password)})
    assert MARK not in everything_shown({"REDIRECTOR_STORE_URL": url.format(quote(password, safe=""))})


@given(MARKED)
def test_password_without_a_host_is_never_shown(password: str) -> None:
    """Nor is an encoded one shown where the host was forgotten, and it stands in the place of the port."""
    assert MARK not in everything_shown({"REDIRECTOR_STORE_URL": f"redis://user:{quote(password, safe='')}"})


@given(MARKED)
def test_password_in_the_base_url_is_never_shown(password: str) -> None:
    """A base URL has no place for a password; one that has it all the same is refused without it."""
    assert MARK not in everything_shown({"REDIRECTOR_BASE_URL": f"https://user:{password}@news.example.com"})


@pytest.mark.parametrize(
    "text",
    [
        f'secret = ["{MARK}"]',
        f'[secret]\nkey = "{MARK}"',
        f'signing_keys = "{MARK}"',
        f"signing_keys = [[{MARK!r}]]",
        f'secrets = "{MARK}"',
        f'store_url = ["redis://:{MARK}@valkey"]',
        f'secret = "{MARK}',
    ],
)
def test_secret_in_a_wrong_file_is_never_shown(tmp_path: Path, text: str) -> None:
    """A secret of a wrong type, under a wrong key or in a file that is not TOML is refused without being shown."""
    file = tmp_path / "redirector.toml"
    file.write_text(text, encoding="utf-8")

    with pytest.raises(InvalidSetting) as refused:
        load({}, {}, file)

    assert MARK not in f"{refused.value} {refused.value!r}"


SHOWN = [
    ("secret", SecretStr(SECRET), "(set)"),
    ("secret", SecretStr(""), ""),
    ("signing_keys", (SecretStr(SECRET), SecretStr(SECRET + "2")), "(2 keys)"),
    ("signing_keys", (), ""),
    ("store_url", SecretStr("redis://user:pass@valkey:6379/0"), "redis://***@valkey:6379/0"),
    ("store_url", SecretStr("redis://valkey:6379/0"), "redis://valkey:6379/0"),
    ("store_url", SecretStr("unix:///run/valkey.sock"), "unix:///run/valkey.sock"),
    ("store_url", SecretStr("redis://[::1]:6379/0"), "redis://[::1]:6379/0"),
    ("destinations_allowed", ("a.example", "b.example"), "a.example,b.example"),
    ("public_port", 8080, "8080"),
    ("data_dir", Path("/srv"), "/srv"),
]


@pytest.mark.parametrize(("name", "value", "text"), SHOWN)
def test_settings_are_shown_without_secrets(name: str, value: object, text: str) -> None:
    """A setting is shown as it would be written, a secret only that it is there."""
    assert shown(name, value) == text
