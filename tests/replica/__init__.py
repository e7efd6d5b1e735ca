"""Tests of the local copy of the links."""
