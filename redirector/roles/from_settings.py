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


def expect_time_to_judge(settings: Settings) -> None:
    """Raises InvalidSetting when workers would take clicks from one another faster than one of them can judge them.

    Who takes up what another left reads the stream again as far as the hold reaches, on both sides: some 20 us an
    entry, so that a tenth of the hold is enough for 2,500 clicks a second. With 120,000 clicks in the hold and a claim
    time of 100 ms, two workers took four clicks from each other for 40 s, and counted none.
    """
    least = settings.count_hold_ms // 10
    if settings.count_claim_after_ms < least:
        raise InvalidSetting(
            f"workers would take clicks from one another before they are judged, with a count_hold_ms of"
            f" {settings.count_hold_ms}",
            field="count_claim_after_ms",
            part=str(settings.count_claim_after_ms),
            remedy=f"set count_claim_after_ms to {least} or more, or count_hold_ms to"
            f" {settings.count_claim_after_ms * 10} or less",
        )
