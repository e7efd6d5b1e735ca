"""The hosts that the settings name: where links may lead, and what each host of ours answers of its own."""

from collections.abc import Iterator

from redirector.app_links import app_links_in
from redirector.destinations import DestinationPolicy
from redirector.errors import InvalidDestination, InvalidSetting
from redirector.findings import Finding, Severity
from redirector.hosts import HostAnswers, Hosts, PublicHost, host_of
from redirector.settings import Settings
from redirector.suffixes import expect_registrable


def policy_of(settings: Settings) -> DestinationPolicy:
    """Where links may lead."""
    own_hosts = frozenset(map(host_of, settings.base_urls()))
    return DestinationPolicy(own_hosts=own_hosts, allowed_hosts=settings.destinations_allowed)


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


def expect_places(settings: Settings) -> None:
    """Raises InvalidSetting when the list of allowed hosts names nobody in particular, or a host is not well set up."""
    for refusal in _refusals(settings):
        raise refusal


def _refusals(settings: Settings) -> Iterator[InvalidSetting]:
    """Everything for which no server starts."""
    policy = policy_of(settings)
    for allowed in policy.allowed_hosts:
        try:
            expect_registrable([allowed], "destinations_allowed")
        except InvalidSetting as refusal:
            yield refusal
    for host in settings.hosts:
        try:
            _answers_of(host, policy)
        except InvalidSetting as refusal:
            yield refusal


def of_refusal(refusal: InvalidSetting) -> Finding:
    """A setting with which no server starts, as something to be mended."""
    return Finding(f"{refusal.field}: {refusal.detail} ({refusal.part!r})", refusal.remedy, Severity.ERROR)


def findings(settings: Settings) -> list[Finding]:
    """What speaks against the hosts: an error for what no server starts with."""
    refusals = list(_refusals(settings))
    found = list(map(of_refusal, refusals))
    anywhere = DestinationPolicy(own_hosts=frozenset())
    for allowed in dict.fromkeys(policy_of(settings).allowed_hosts):
        if any(refusal.part == allowed for refusal in refusals):
            continue
        try:
            anywhere.accept(f"https://{allowed}/")
        except InvalidDestination as refusal:
            what = f"destinations_allowed has {allowed}, where no link may lead: {refusal.detail}"
            found.append(Finding(what, "remove it, or name the domain that you mean"))
    for host in settings.hosts:
        if host.fallback_url.lower().startswith("http:"):
            what = f"the fallback page of {host.base_url} is not encrypted: {host.fallback_url!r}"
            found.append(Finding(what, "set its fallback_url to https://"))
    return found
