"""Short ways to ask what the package makes of a mail, shared by its tests."""

from redirector.emails import FoundLink, apply, edits_for, find_links


def only_link(mail: bytes, *, charset: str | None = None, tracked_prefix: str | None = None) -> FoundLink:
    """The one link of a mail."""
    (link,) = find_links(mail, charset=charset, tracked_prefixes=(tracked_prefix,) if tracked_prefix else ())
    return link


def hrefs(mail: bytes, *, charset: str | None = None) -> list[str]:
    """Where the links of a mail lead."""
    return [link.href for link in find_links(mail, charset=charset)]


def values(mail: bytes, *, charset: str | None = None) -> list[bytes]:
    """The bytes at the links' places."""
    return [mail[link.start : link.end] for link in find_links(mail, charset=charset)]


def rewritten(mail: bytes, target: str, *, charset: str | None = None) -> bytes:
    """The mail with all of its links given one target."""
    links = find_links(mail, charset=charset)
    return apply(mail, edits_for(mail, dict.fromkeys(links, target), charset=charset))
