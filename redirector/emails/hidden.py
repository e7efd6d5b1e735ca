"""What makes an anchor one that no reader comes to: not with the eye, the pointer, the keyboard or a screen reader."""

from collections.abc import Mapping
from typing import Final

# What senders hide the preview text of a mail with: some gateways take `display:none` away, and mail programs know one
# or the other of the rest. The anchor is empty, and takes no room even where all of it is taken away.
_STYLE: Final = (
    "display:none;visibility:hidden;overflow:hidden;opacity:0;max-width:0;max-height:0;font-size:0;line-height:0;"
    "mso-hide:all"
)
_DECLARATIONS: Final = frozenset(_STYLE.split(";"))


def hidden_anchor(href: str) -> str:
    """The anchor, in ASCII but for `href`, which must be what can stand between double quotes."""
    return f'<a href="{href}" rel="nofollow" tabindex="-1" aria-hidden="true" style="{_STYLE}"></a>'


def is_hidden(attributes: Mapping[str, str]) -> bool:
    """Whether these are such an anchor's; a tool may have moved or added declarations."""
    declared = {"".join(each.split()).lower() for each in attributes.get("style", "").split(";")}
    return declared >= _DECLARATIONS and attributes.get("aria-hidden", "").lower() == "true"
