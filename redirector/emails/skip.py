"""Why a link is left alone: a stable slug, and a sentence for people that names what was found.

The order is: what cannot be followed to a web page at all (`undecodable`, `empty`, `fragment`, `other-scheme`), what
its author said (`no-track`), what cannot be known (`template`, `relative`), what is done (`already-tracked`,
`honeypot`), and last the one guess (`unsubscribe`).
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from redirector.emails.hidden import is_hidden
from redirector.emails.template_tags import template_tag_in
from redirector.unsubscribing import unsubscribing_word

# Attribute -> the value that it must have, or None if its presence is enough. Parsers give names in lower case.
_NO_TRACK: Final[dict[str, str | None]] = {
    "data-no-track": None,  # this program's own
    "ses:no-track": None,  # Amazon SES: metrics FAQ, "can I exclude a link from click tracking"
    "clicktracking": "off",  # SendGrid: click tracking documentation; no other value has a meaning
    "data-pm-no-track": None,  # Postmark: link tracking, excluding single links
    "disable-tracking": "true",  # Mailgun: tracking clicks, documentation pull request 610
    "mc:disable-tracking": None,  # Mailchimp Transactional (Mandrill): click tracking of single links
    "mautic:disable-tracking": None,  # Mautic up to 6: TrackableModel looks for the attribute, with any value
    "data-mautic-disable-tracking": None,  # Mautic from 7 on, which renamed it
    "data-msys-clicktrack": "0",  # SparkPost (Message Systems): disabling click tracking of a link
    "mktnotrack": None,  # Adobe Marketo: email links without tracking; as an attribute or a class
}
_NO_TRACK_CLASSES: Final = frozenset(
    {
        "untracked",  # Customer.io: link tracking, single links
        "mktnotrack",
    }
)

# What was planted before stands in the mail like a tracked link, with all the signs of a hidden one.
HONEYPOT: Final = "honeypot"

_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*):")


def why_skipped(
    href: str, attributes: Mapping[str, str], *, sound: bool = True, tracked_prefixes: Sequence[str] = ()
) -> tuple[str, str] | None:
    """The slug and the sentence, or None for a link that is to be tracked; `sound`: its bytes could be decoded."""
    return (
        _leads_nowhere(href, sound)
        or _author_said(attributes)
        or _not_known(href)
        or _already_tracked(href, attributes, tracked_prefixes)
        or _unsubscribes(href, attributes)
    )


def _leads_nowhere(href: str, sound: bool) -> tuple[str, str] | None:
    if not sound:
        return "undecodable", "The link is not valid in the mail's charset."
    if not href:
        return "empty", "The link is empty."
    if href.startswith("#"):
        return "fragment", f"The link leads to {href} within the mail."
    scheme = _SCHEME.match(href)
    if scheme and scheme[1].lower() not in {"http", "https"}:
        return "other-scheme", f"The link is a {scheme[1].lower()}: link, not a web page."
    return None


def _author_said(attributes: Mapping[str, str]) -> tuple[str, str] | None:
    for name in attributes:
        if name in _NO_TRACK and _NO_TRACK[name] in {None, attributes[name].strip().lower()}:
            marker = f"{name}={_NO_TRACK[name]}" if _NO_TRACK[name] else name
            return "no-track", f"The link is marked {marker}."
    for token in attributes.get("class", "").split():
        if token.lower() in _NO_TRACK_CLASSES:
            return "no-track", f"The link has the class {token}."
    return None


def _not_known(href: str) -> tuple[str, str] | None:
    if tag := template_tag_in(href):
        return "template", f"The link contains the template tag {tag}."
    if not _SCHEME.match(href):
        return "relative", "The link is relative: it has no scheme, and a mail has no address of its own."
    return None


def _already_tracked(
    href: str, attributes: Mapping[str, str], tracked_prefixes: Sequence[str]
) -> tuple[str, str] | None:
    # Scheme and host mean the same in any case; a path that differs from ours in its case only is nobody's loss.
    for prefix in tracked_prefixes:
        if href[: len(prefix)].lower() == prefix.lower():
            if is_hidden(attributes):
                return HONEYPOT, "The link is a honeypot that was planted before."
            return "already-tracked", f"The link starts with {prefix} already."
    return None


def _unsubscribes(href: str, attributes: Mapping[str, str]) -> tuple[str, str] | None:
    if word := unsubscribing_word(href):
        return "unsubscribe", f"The link's address says {word}."
    for name, value in attributes.items():
        hint = value if name in {"class", "rel"} else name if name.startswith("data-") else ""
        if word := unsubscribing_word(hint):
            return "unsubscribe", f"The link's {name} says {word}."
    return None
