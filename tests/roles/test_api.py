"""The API role: it answers the API and nothing else."""

from redis.asyncio import Redis

from redirector import __version__
from redirector.roles.api import api_role
from redirector.store.api_keys import ApiKeys
from redirector.store.keys import Keys
from redirector.web.server import listening
from tests.builders import NOON, SECRET
from tests.roles.played import playing, settings_for, url_of


async def test_api_role_answers_the_api(store_url: str, redis: Redis, keys: Keys) -> None:
    """Its only port is the internal one, with the API."""
    api_keys = ApiKeys(redis, keys, pepper=SECRET.encode())
    key = await api_keys.create("tests", ["read"], now=NOON, entropy=bytes(26))
    internal = listening("internal", "127.0.0.1", 0)
    settings = settings_for(store_url, keys, base_url="https://news.example.com")

    async with playing(api_role(settings, internal, version=__version__), url_of(internal)) as http:
        topics = await http.get("/v1/topics", headers={"authorization": f"Bearer {key}"})

    assert (topics.json()["topics"], topics.json()["clicks"]) == ([], {})
