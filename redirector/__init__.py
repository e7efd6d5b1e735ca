"""A click-through redirector for email links: this module holds the names that other programs may use.

Nothing inside the package imports it, and each name is loaded when it is first asked for,
so that a redirect worker never pays for the client.
"""

__version__ = "0.1.0"
