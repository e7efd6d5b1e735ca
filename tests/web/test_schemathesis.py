"""What the API answers is what its description says, for whatever is sent."""

from typing import Any

import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import CHECKS, load_all_checks

from redirector.installation import Running
from redirector.web.openapi import document

load_all_checks()

# Which names and destinations are acceptable is more than a JSON schema can say: they may be refused, as documented.
MORE_THAN_A_SCHEMA_SAYS: Any = CHECKS.get_one("positive_data_acceptance")

# The document of the program itself; test_openapi.py proves that the server sends the same.
schema = schemathesis.openapi.from_dict(document("1.2.3", "/"))


@schema.auth(refresh_interval=None)
class Key:
    """Sends the live server's key with whatever is generated, but where a check wants it left out."""

    value = ""

    def get(self, _: schemathesis.Case[Any], __: Any) -> str:
        """The key."""
        return self.value

    def set(self, case: schemathesis.Case[Any], data: str, _: Any) -> None:
        """Puts it where it belongs."""
        case.headers["Authorization"] = f"Bearer {data}"


@schema.parametrize()
@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_every_answer_is_documented(case: schemathesis.Case[Any], server: Running) -> None:
    """No server error; status, type, headers and body of each answer are as documented, whatever was sent."""
    Key.value = server.api_key

    case.call_and_validate(base_url=server.internal_url, excluded_checks=[MORE_THAN_A_SCHEMA_SAYS], timeout=30)
