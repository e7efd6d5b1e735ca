"""A mail's links: where they stand, which of them are to be tracked, and other targets in their place."""
