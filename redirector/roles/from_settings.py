"""What the settings stand for: the values that roles are made of. What is wrong with a setting shows here."""

from typing import Final

from redis.asyncio import Redis

from redirector.app_links import app_links_in
from redirector.codes import Codes
from redirector.destinations import DestinationPolicy
from redirector.errors import InvalidDestination, InvalidSetting
from redirector.forwarded import Proxies, network
from redirector.hosts import HostAnswers, Hosts, PublicHost, host_of
from redirector.networks import Networks
from redirector.settings import Settings
from redirector.store.api_keys import ApiKeys
from redirector.store.keys import Keys
from redirector.suffixes import expect_registrable

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


def policy_of(settings: Settings) -> DestinationPolicy:
    """Where links may lead."""
    own_hosts = frozenset(map(host_of, settings.base_urls()))
    return DestinationPolicy(own_hosts=own_hosts, allowed_hosts=settings.destinations_allowed)


def expect_places(settings: Settings) -> None:
    """Raises InvalidSetting when the list of allowed hosts names nobody in particular, or a host is not well set up."""
    expect_registrable(policy_of(settings).allowed_hosts, "destinations_allowed")
    hosts_of(settings)


def hosts_of(settings: Settings) -> Hosts:
    """What each host answers of its own, read now. Raises InvalidSetting."""
    policy = policy_of(settings)
    known = {host_of(host.base_url): _answers_of(host, policy) for host in settings.hosts}
    return Hosts(known.get(host_of(settings.public_base_url()), HostAnswers()), known)


def _answers_of(host: PublicHost, policy: DestinationPolicy) -> HostAnswers:
    field = f"hosts ({host.base_url})"
    try:
        fallback = policy.accept(host.fallback_url, f"{field}.fallback_url") if host.fallback_url else None
    except InvalidDestination as refusal:
        raise InvalidSetting(refusal.detail, field=refusal.field, part=refusal.part, remedy=refusal.remedy) from None
    return HostAnswers(fallback, {path: app_links_in(file, field) for path, file in host.files().items()})
