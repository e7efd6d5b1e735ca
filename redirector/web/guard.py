"""Who may do what with the API, and how often; what may see persons or change the installation is audited."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from redirector.errors import KeyMissing, RedirectorError, ScopeMissing, TooManyRequests
from redirector.limits import Limiter, origin, seconds_to_wait
from redirector.metrics import API_REFUSALS
from redirector.problems import STATUSES
from redirector.recent import Recent
from redirector.store.api_keys import ApiKey, ApiKeys
from redirector.store.audit import Audit, Use

AUDITED_SCOPES: Final = frozenset({"personal", "admin"})

# What one second allows, this many times at once: a program that mints for a mailing does so in bursts.
SECONDS_AT_ONCE: Final = 10

_KEY_ID: Final = slice(4, 16)  # rdr_0123456789ab_...
_MOST_KNOWN: Final = 10_000


@dataclass(frozen=True, slots=True)
class Guard:
    """Lets holders of keys in. Limits are in memory, and each process's own.

    Whoever tries wrong keys has to wait, by their address. That saves work; the keys are safe without it, because
    nobody finds one of 160 random bits. A key that was used from an address before is let in from it all the same: a
    program with an old key locks out nobody beside it.
    """

    api_keys: ApiKeys
    audit: Audit
    requests: Limiter
    wrong_keys: Limiter
    known: Recent[tuple[str, str], bool]

    async def holder(self, request: Request, scope: str, now: float) -> ApiKey:
        """Whose key the request carries at `now` (Unix seconds).

        Raises KeyMissing, ScopeMissing when the key may not do this, and TooManyRequests.
        """
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        key = key.strip()
        if scheme.lower() != "bearer" or not key:
            raise KeyMissing("the request carries no API key", remedy="send it as `Authorization: Bearer KEY`")
        address = origin(request.client.host if request.client else "")
        holder = await self._known(address, key, now)
        if wait := self.requests.take(holder.id, now):
            raise _refused("too_many_requests", wait, "this API key makes more requests than it may")
        if scope not in holder.scopes:
            raise ScopeMissing(
                f"the key {holder.name!r} lacks the scope {scope!r}",
                remedy=f"make one with `redirector keys create NAME --scope {scope}`",
            )
        return holder

    async def _known(self, address: str, key: str, now: float) -> ApiKey:
        here = (address, key[_KEY_ID])
        if here not in self.known and (wait := self.wrong_keys.wait(address, now)):
            raise _refused("too_many_wrong_keys", wait, "too many wrong API keys come from this address")
        try:
            holder = await self.api_keys.holder(key, now=int(now * 1000))
        except KeyMissing:
            API_REFUSALS.labels("wrong_key").inc()
            self.wrong_keys.take(address, now)
            raise
        self.known.put(here, True)
        return holder


def guard_of(api_keys: ApiKeys, audit: Audit, *, requests_per_second: int, wrong_keys_per_minute: int) -> Guard:
    """A guard with these limits."""
    for reason in ("wrong_key", "too_many_wrong_keys", "too_many_requests"):
        API_REFUSALS.labels(reason)  # Prometheus does not see an increase from nothing
    return Guard(
        api_keys,
        audit,
        requests=Limiter(per_second=requests_per_second, burst=requests_per_second * SECONDS_AT_ONCE),
        wrong_keys=Limiter(per_second=wrong_keys_per_minute / 60, burst=wrong_keys_per_minute),
        known=Recent(_MOST_KNOWN),
    )


async def audited(
    audit: Audit, holder: ApiKey, action: str, act: Callable[[Request], Awaitable[Response]], request: Request
) -> Response:
    """What `act` answers; before it begins it is in the audit, and before it is answered its status is too.

    Raises StoreError when the audit does not take it: what is not in the audit must not happen.
    """
    entry = await audit.begin(Use(holder.name, action, holder.id))
    try:
        response = await act(request)
    except Exception as error:  # whatever it is, its status is in the audit
        status = STATUSES[error.code][0] if isinstance(error, RedirectorError) else 500
        await audit.end(entry, str(status))
        raise
    await audit.end(entry, str(response.status_code))
    return response


def _refused(reason: str, wait: float, detail: str) -> TooManyRequests:
    API_REFUSALS.labels(reason).inc()
    seconds = seconds_to_wait(wait)
    return TooManyRequests(detail, remedy=f"wait {seconds} s before the next one", retry_after_seconds=seconds)
