"""Which secret the codes and keys of an installation are made with, as far as a command can tell."""

import time

from pydantic import SecretStr

from redirector.errors import InvalidSetting, KeyMissing
from redirector.installation import running_in, secret_in
from redirector.settings import Settings
from redirector.store.api_keys import ApiKeys


def known_secret(settings: Settings) -> SecretStr | None:
    """The secret that is set, or else the data directory's own."""
    return settings.secret if settings.secret.get_secret_value() else secret_in(settings.data_dir)


def secret_of_the_servers(settings: Settings) -> str:
    """The secret of this installation. Raises InvalidSetting when there is none."""
    secret = known_secret(settings)
    if secret is None:
        raise InvalidSetting(
            f"no secret is set, and {settings.data_dir} has none",
            field="REDIRECTOR_SECRET",
            remedy="set it as the servers have it, or name their --data-dir",
        )
    return secret.get_secret_value()


async def expect_the_secret_of_the_server(settings: Settings, api_keys: ApiKeys) -> None:
    """Raises KeyMissing when a server runs here with another secret than that of `api_keys`.

    It would know none of the keys made with ours, and none of its codes would follow from it.
    """
    running = None if settings.store_url.get_secret_value() else running_in(settings.data_dir)
    if running is None:
        return
    try:
        await api_keys.holder(running.api_key, now=int(time.time() * 1000))
    except KeyMissing:
        raise KeyMissing(
            f"the server over {settings.data_dir} has another secret",
            field="REDIRECTOR_SECRET",
            remedy="set it as the server has it",
        ) from None
