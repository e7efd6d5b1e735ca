"""A mail's links: where they stand, which of them are to be tracked, and other targets in their place.

`find_links` lists the links of a mail, each with the reason if it is to be left alone; `edits_for` turns chosen
targets into edits; `apply` makes them and `undo` takes them back. Nothing here does I/O, and apart from the values
of `href`, and of a hidden anchor where `place_to_plant` and `planting` are asked for one, no byte of a mail ever
changes. `decoded` is a mail as text, to be shown.
"""

from redirector.emails.edits import Edit, apply, edits_for, undo
from redirector.emails.find import FoundLink, find_links
from redirector.emails.plant import place_to_plant, planting
from redirector.emails.text import decoded

__all__ = ["Edit", "FoundLink", "apply", "decoded", "edits_for", "find_links", "place_to_plant", "planting", "undo"]
