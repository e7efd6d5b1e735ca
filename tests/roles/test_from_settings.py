"""What the roles make of their settings, and which they refuse."""

import pytest
from pydantic import SecretStr

from redirector.errors import InvalidSetting
from redirector.roles.from_settings import codes_of, expect_time_to_judge
from redirector.roles.worker import worker_role
from redirector.settings import Settings
from redirector.store.keys import Keys
from tests.builders import SECRET
from tests.roles.played import settings_for


@pytest.mark.parametrize(("hold_ms", "claim_after_ms"), [(30_000, 3_000), (120_000, 12_000), (0, 100), (1_009, 100)])
def test_time_to_judge_is_enough(hold_ms: int, claim_after_ms: int) -> None:
    """A tenth of the hold, or more; without a hold any."""
    expect_time_to_judge(Settings(count_hold_ms=hold_ms, count_claim_after_ms=claim_after_ms))


@pytest.mark.parametrize(("hold_ms", "claim_after_ms", "least"), [(30_000, 2_999, 3_000), (120_000, 100, 12_000)])
async def test_too_little_time_to_judge_is_refused(
    store_url: str, keys: Keys, hold_ms: int, claim_after_ms: int, least: int
) -> None:
    """The error names both settings, and a value that would do; what the remedy says is taken."""
    settings = settings_for(store_url, keys, count_hold_ms=hold_ms, count_claim_after_ms=claim_after_ms)
    with pytest.raises(InvalidSetting) as refused:
        await worker_role(settings, None)

    assert (refused.value.field, refused.value.part) == ("count_claim_after_ms", str(claim_after_ms))
    assert f"count_hold_ms of {hold_ms}" in refused.value.detail
    assert f"to {least} or more, or count_hold_ms to {10 * claim_after_ms} or less" in refused.value.remedy
    expect_time_to_judge(settings.model_copy(update={"count_claim_after_ms": least}))
    expect_time_to_judge(settings.model_copy(update={"count_hold_ms": 10 * claim_after_ms}))


async def test_secret_is_needed(store_url: str, keys: Keys) -> None:
    """Without a secret there are no codes: the error says how to make one, and why to keep it."""
    settings = settings_for(store_url, keys, secret=SecretStr(""))

    with pytest.raises(InvalidSetting) as caught:
        codes_of(settings)

    assert caught.value.field == "REDIRECTOR_SECRET"
    assert "openssl rand -hex 32" in caught.value.remedy
    assert "keep a copy" in caught.value.remedy


async def test_codes_signed_with_a_listed_key_work() -> None:
    """The first of the signing keys signs, and every one of them is recognised."""
    old, new = "an old key of thirty-two letters", "a new key of thirty-two letters."
    before = codes_of(Settings(secret=SecretStr(SECRET), signing_keys=(SecretStr(old),)))
    after = codes_of(Settings(secret=SecretStr(SECRET), signing_keys=(SecretStr(new), SecretStr(old))))

    assert after.decode(before.encode(7, 0)) is not None
    assert before.decode(after.encode(7, 0)) is None
