"""Who asks for codes that nobody made: one and the same page, and after too many of them a while to wait.

Readers' links, the pages about them and what can be asked with them count together. Codes that are known do not count.
"""

from starlette.responses import Response
from starlette.types import Scope

from redirector.limits import Limiter, origin, seconds_to_wait
from redirector.web import pages
from redirector.web.answers import page_answer


def wait_of_stranger(limiter: Limiter | None, scope: Scope, now: float) -> int:
    """The seconds for which the request's address has to wait, with this one counted, at `now` (seconds); mostly 0."""
    if limiter is None:
        return 0
    client = scope.get("client")
    wait = limiter.take(origin(client[0] if client else ""), now)
    return seconds_to_wait(wait) if wait else 0


def unknown_code(limiter: Limiter | None, scope: Scope, now: float) -> Response:
    """The page for an unknown code."""
    if wait := wait_of_stranger(limiter, scope, now):
        return page_answer(429, pages.TOO_MANY, {"retry-after": str(wait)})
    return page_answer(404, pages.UNKNOWN)
