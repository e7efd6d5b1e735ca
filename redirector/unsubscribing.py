"""Which links end a subscription: they are never tracked, since whoever opens them on a reader's behalf ends it too.

A mail names its one-click address (RFC 8058) in a header, which nobody sees who has a link only. So a link is known
by what it says; one that says nothing has to be named by who sends the mail.
"""

import re
from typing import Final
from urllib.parse import unquote

# A word begins behind what is no letter, or with a capital (`emailOptOut`), and ends in the same way: `adoptouts` and
# `sunsubtle` are other words. Only `unsubscribe` and `unsubscription` are found in the middle of one too
# (`listunsubscribe`), behind two letters or more: behind one it is a sun's subscription. A page *about* unsubscribing
# is left untracked as well: that error is the harmless one.
_BEGIN: Final = r"(?:(?<![A-Za-z])|(?<=[a-z])(?=[A-Z]))"
_END: Final = r"(?:(?![A-Za-z])|(?<=[a-z])(?=[A-Z]))"
_GLUED: Final = r"(?<=[A-Za-z][a-z]|[A-Z][A-Z])"
_UNSUBSCRIBE: Final = re.compile(
    rf"{_BEGIN}(?i:un[-_]?subscri(?:be|ption))|{_GLUED}(?i:unsubscri(?:be|ption))|{_BEGIN}(?i:unsub|opt[-_]?out){_END}"
)


def unsubscribing_word(text: str) -> str | None:
    """The word in a link, or in what its author says of it, that shows what it is for; in lower case."""
    decoded = unquote(text)  # so that `%2Funsubscribe` is a word
    folded = decoded.lower()
    if "sub" in folded or "out" in folded:  # one is in each of the words, and this is ten times as fast
        match = _UNSUBSCRIBE.search(decoded)
        return match[0].lower() if match else None
    return None
