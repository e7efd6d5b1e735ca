"""Tests mirror the package; what they need is built by `builders` and found in `conftest`."""
