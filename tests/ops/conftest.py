"""What the tests of the cluster's files share."""

import pytest

from tests.ops.manifests import Manifest, overlay


@pytest.fixture
def manifests(request: pytest.FixtureRequest) -> tuple[Manifest, ...]:
    """Every object of an overlay, which `every_overlay` names."""
    return overlay(request.param)
