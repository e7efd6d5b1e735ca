"""Every error the program raises on purpose, in one tree.

* RedirectorError
    * InvalidInput
        * InvalidDestination
            * BrokenDestination
        * InvalidSetting
        * MalformedBody
        * UnreadableMail
        * InvalidBackup
    * NotFound
        * UnknownLink
        * UnknownCampaign
        * UnknownKey
    * Conflict
        * CampaignExists
        * LinkExists
        * TooManyTopics
        * RecipientsNotAllowed
        * ClicksMissing
        * IdempotencyKeyReused
        * KeyNameTaken
        * OtherCatalog
        * DataDirectoryInUse
    * AccessDenied
        * KeyMissing
        * ScopeMissing
    * RequestRefused
        * BodyTooLarge
        * UnsupportedMediaType
        * MethodNotAllowed
        * TooManyRequests
    * StoreError
        * StoreUnavailable
    * SpoolError
        * SpoolFull
        * SpoolFailed
    * ServerError
        * ServerUnavailable
        * UnexpectedAnswer

An error is an instruction: `detail` says what is wrong, `remedy` what to do about it, `field` which input it is
about (a JSON pointer, a setting's key, a flag), and `part` the offending piece of that input, word for word, its first
100 characters.
`others` holds further errors of the same request, when there is more than one to mend.
`code` never changes once released; `problems` maps it to an HTTP status, in both directions.
"""

from typing import ClassVar


class RedirectorError(Exception):
    """The root: catch it to catch everything that this program raises on purpose."""

    code: ClassVar[str] = "error"

    def __init__(
        self,
        detail: str,
        *,
        field: str = "",
        part: str = "",
        remedy: str = "",
        others: "tuple[RedirectorError, ...]" = (),
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.field = field
        self.part = _showable(part)
        self.remedy = remedy
        self.others = others

    def __str__(self) -> str:
        where = f"{self.field}: " if self.field else ""
        what = f" ({self.part!r})" if self.part else ""
        then = f"; {self.remedy}" if self.remedy else ""
        return f"{where}{self.detail}{what}{then}"


class InvalidInput(RedirectorError):
    """A value from outside is not what it must be."""

    code = "invalid_input"


class InvalidDestination(InvalidInput):
    """A link may not lead there: `reason` is a stable word, `part` the piece of the URL that decided."""

    code = "invalid_destination"

    def __init__(
        self,
        detail: str,
        *,
        reason: str = "",
        field: str = "",
        part: str = "",
        remedy: str = "",
        others: tuple[RedirectorError, ...] = (),
    ) -> None:
        super().__init__(detail, field=field, part=part, remedy=remedy, others=others)
        self.reason = reason


class BrokenDestination(InvalidDestination):
    """A link may lead there, but nobody would arrive: the destination was asked, and does not answer well."""

    code = "broken_destination"


class InvalidSetting(InvalidInput):
    """A setting has a value that the program cannot work with; `field` is its key."""

    code = "invalid_setting"


class MalformedBody(InvalidInput):
    """A request's body could not be read at all: not JSON, too deep, not text."""

    code = "malformed_body"


class UnreadableMail(InvalidInput):
    """A mail cannot be rewritten without risking a byte of it: its encoding is unknown or broken."""

    code = "unreadable_mail"


class InvalidBackup(InvalidInput):
    """A file is no backup, was altered or cut off, or belongs to another installation."""

    code = "invalid_backup"


class NotFound(RedirectorError):
    """The thing asked for is not there."""

    code = "not_found"


class UnknownLink(NotFound):
    """There is no link of this number."""

    code = "unknown_link"


class UnknownCampaign(NotFound):
    """There is no campaign of this name."""

    code = "unknown_campaign"


class UnknownKey(NotFound):
    """There is no API key of this name or id."""

    code = "unknown_key"


class Conflict(RedirectorError):
    """What is asked for contradicts what is already there."""

    code = "conflict"


class CampaignExists(Conflict):
    """A campaign of this name exists with other properties."""

    code = "campaign_exists"


class LinkExists(Conflict):
    """This link exists with other properties."""

    code = "link_exists"


class TooManyTopics(Conflict):
    """The registered topics are a bounded set, and it is full."""

    code = "too_many_topics"


class RecipientsNotAllowed(Conflict):
    """The campaign counts in aggregate: it has one tracked URL a link, the same for everybody."""

    code = "recipients_not_allowed"


class ClicksMissing(Conflict):
    """Clicks cannot be counted anew: what was counted and what the stream has are not the same clicks."""

    code = "clicks_missing"


class IdempotencyKeyReused(Conflict):
    """The Idempotency-Key came before, with another body."""

    code = "idempotency_key_reused"


class KeyNameTaken(Conflict):
    """An API key of this name exists."""

    code = "key_name_taken"


class OtherCatalog(Conflict):
    """The store has other links under the numbers of those that are to come into it."""

    code = "other_catalog"


class DataDirectoryInUse(Conflict):
    """Another process owns the data directory."""

    code = "data_directory_in_use"


class AccessDenied(RedirectorError):
    """The caller may not do this."""

    code = "access_denied"


class KeyMissing(AccessDenied):
    """The request carries no API key, or one that is not known, was revoked or has expired."""

    code = "key_missing"


class ScopeMissing(AccessDenied):
    """The API key is known, but lacks the scope that this needs."""

    code = "scope_missing"


class RequestRefused(RedirectorError):
    """The request is not one that this server takes, whatever its contents."""

    code = "request_refused"


class BodyTooLarge(RequestRefused):
    """The request's body, or a list in it, is larger than allowed."""

    code = "body_too_large"


class UnsupportedMediaType(RequestRefused):
    """The body is of another type than this address takes."""

    code = "unsupported_media_type"


class MethodNotAllowed(RequestRefused):
    """This address has no such method."""

    code = "method_not_allowed"


class TooManyRequests(RequestRefused):
    """More was asked for than may be: ask again after `retry_after_seconds`."""

    code = "too_many_requests"

    def __init__(
        self,
        detail: str,
        *,
        retry_after_seconds: int = 1,
        field: str = "",
        part: str = "",
        remedy: str = "",
        others: tuple[RedirectorError, ...] = (),
    ) -> None:
        super().__init__(detail, field=field, part=part, remedy=remedy, others=others)
        self.retry_after_seconds = retry_after_seconds


class StoreError(RedirectorError):
    """Something about Redis or Valkey."""

    code = "store_error"


class StoreUnavailable(StoreError):
    """The store did not answer in time; try again later."""

    code = "store_unavailable"


class SpoolError(RedirectorError):
    """The spool did not take clicks; they are counted as lost, with the error's code as the reason."""

    code = "spool_error"


class SpoolFull(SpoolError):
    """The spool has as many bytes as it may have: bring the store back, or give it more room."""

    code = "spool_full"


class SpoolFailed(SpoolError):
    """The disk refused to take or to give back what the spool holds: see to the disk."""

    code = "spool_failed"


class ServerError(RedirectorError):
    """Something about the server that a client or the command line talks to."""

    code = "server_error"


class ServerUnavailable(ServerError):
    """No server answers at this address."""

    code = "server_unavailable"


class UnexpectedAnswer(ServerError):
    """The server answered something that this client does not understand."""

    code = "unexpected_answer"


def _showable(text: str) -> str:
    """At most 100 characters of it, as UTF-8 can carry them: a lone surrogate is shown as \\ud800."""
    return text[:100].encode("utf-8", "backslashreplace").decode()
