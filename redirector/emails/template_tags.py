r"""Whether a mailing tool will still write something into a link: then its final target is not known yet.

Recognised, anywhere in a link: `{{ }}` and `{% %}` (Liquid, Jinja, Handlebars), `*|NAME|*` (Mailchimp), `<% %>` (ERB,
SendGrid), `${ }` (FreeMarker, Velocity), `[[ ]]` (SparkPost's per-link options), `%%=` (AMPscript), `=[name]` and
`=[name,fallback=x]` as a whole query value (Campaign Monitor), and `%name%` (ActiveCampaign, Mailgun, ExactTarget's
`%%name%%`). An opening alone is enough: quotes inside a tag may have cut its end off.

`%name%` looks much like percent-encoding: `%abc%20` is two escapes, `%address%` is a field although `%ad` is an
escape. The name starts with a letter and goes on with letters, digits, `_`, `.` or `-` (or stands in brackets:
`%[name]%`). It is a field when one of the two percent signs is not the start of a well-formed escape (a percent sign
and two hexadecimal digits), for then the link as a whole is not valid percent-encoding either; and never when the
name is two hexadecimal digits, for then it is an escape before a stray percent sign. What a valid escape on both sides
leaves undecided is taken as percent-encoding.
"""

import re
from typing import Final

_ESCAPE: Final = "[0-9A-Fa-f]{2}"
_NAME: Final = r"[A-Za-z][A-Za-z0-9_.\-]*"

_TAG: Final = re.compile(
    rf"""
      \{{\{{ (?: .*? \}}\}} )?
    | \{{% (?: .*? %\}} )?
    | \*\| (?: .*? \|\* )?
    | <% (?: .*? %> )?
    | \$\{{ (?: .*? \}} )?
    | \[\[ (?: .*? \]\] )?
    | %%= (?: .*? =%% )?
    | % (?! {_ESCAPE} ) {_NAME} %
    | % (?! {_ESCAPE} % ) {_NAME} % (?! {_ESCAPE} )
    | %\[ {_NAME} \]%
    | (?<= = ) \[ {_NAME} (?: ,fallback= [^\]]{{0,100}} )? \] (?= & | \# | $ )
    """,
    re.VERBOSE | re.DOTALL,
)
_TAG_STARTS: Final = re.compile(r"[{%*<$\[]")  # most links have none of these, and this is ten times as fast


def template_tag_in(href: str) -> str | None:
    """The first template tag in a link, as it stands there."""
    match = _TAG.search(href) if _TAG_STARTS.search(href) else None
    return match[0] if match else None
