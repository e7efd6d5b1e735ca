"""What the settings stand for: the values that roles are made of. What is wrong with a setting shows here."""

from typing import Final

from redis.asyncio import Redis

from redirector.codes import Codes
from redirector.errors import InvalidSetting
from redirector.forwarded import Proxies, network
from redirector.networks import Networks
from redirector.settings import Settings
from redirector.store.api_keys import ApiKeys
from redirector.store.keys import Keys

DAY_SECONDS: Final = 24 * 3600


def codes_of(settings: Settings) -> Codes:
    """The codes of this installation. Raises InvalidSetting when it has no secret."""
    if not settings.secret.get_secret_value():
        raise InvalidSetting(
            "every role of an installation needs the same secret, and none is set",
            field="REDIRECTOR_SECRET",
            remedy="make one with `openssl rand -hex 32`, and keep a copy: without it, mails already sent die",
        )
    return Codes(settings.secret.get_secret_value(), [key.get_secret_value() for key in settings.signing_keys])


def api_keys_of(settings: Settings, redis: Redis, keys: Keys) -> ApiKeys:
    """The API keys of this installation."""
    return ApiKeys(redis, keys, pepper=settings.secret.get_secret_value().encode())


def networks_of(settings: Settings) -> Networks:
    """What is known of addresses. Raises InvalidSetting when a file cannot be used."""
    return Networks(country=settings.country_database, isp=settings.isp_database)


def proxies_of(settings: Settings) -> Proxies | None:
    """The proxies that are trusted to say where requests come from, if any are."""
    return Proxies(map(network, settings.trusted_proxies)) if settings.trusted_proxies else None
