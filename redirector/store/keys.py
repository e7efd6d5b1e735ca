"""The names of everything that the program keeps in the store.

Braces are a cluster's hash tag: all that one script touches lies in one slot. What belongs to the clicks of a shard
carries the shard's number; links, campaigns and keys carry `catalog`.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Keys:
    """Key names under a prefix; another program's keys in the same database stay untouched."""

    prefix: str = "redirector"

    def _catalog(self, name: str) -> str:
        return f"{self.prefix}:{{catalog}}:{name}"

    def _shard(self, name: str, shard: int = 0) -> str:
        return f"{self.prefix}:{{{shard}}}:{name}"

    # the catalog: what was minted
    @property
    def links(self) -> str:
        """Hash: link number -> the link as JSON."""
        return self._catalog("links")

    @property
    def next_link(self) -> str:
        """Counter: the last link number given out."""
        return self._catalog("next_link")

    @property
    def identities(self) -> str:
        """Hash: digest of (campaign, destination, topics, label) -> link number."""
        return self._catalog("identities")

    @property
    def campaigns(self) -> str:
        """Hash: campaign name -> the campaign as JSON."""
        return self._catalog("campaigns")

    def links_of(self, campaign: str) -> str:
        """Sorted set: a campaign's link numbers."""
        return self._catalog(f"links_of:{campaign}")

    def honeypots_of(self, campaign: str) -> str:
        """Set: the numbers of those of a campaign's links that no reader can see."""
        return self._catalog(f"honeypots_of:{campaign}")

    @property
    def topics(self) -> str:
        """Sorted set: topic -> when it was first used, in Unix ms."""
        return self._catalog("topics")

    @property
    def changes(self) -> str:
        """Stream: which link or campaign was made or changed, for whoever keeps a copy."""
        return self._catalog("changes")

    @property
    def opted_out(self) -> str:
        """Sorted set: the token of a recipient who opted out -> when, in Unix ms."""
        return self._catalog("opted_out")

    @property
    def visitors_opted_out(self) -> str:
        """Sorted set, of two days: a visitor who opted out, as `clickers` has it -> when, in Unix ms."""
        return self._catalog("visitors_opted_out")

    @property
    def erasures(self) -> str:
        """Sorted set: whose clicks are erased -> up to which moment, in Unix ms."""
        return self._catalog("erasures")

    @property
    def erasures_waiting(self) -> str:
        """Sorted set: those of the erasures that have not been done yet, in the same way."""
        return self._catalog("erasures_waiting")

    @property
    def api_keys(self) -> str:
        """Hash: key id -> name, scopes, limits and the hash of the key, as JSON."""
        return self._catalog("api_keys")

    @property
    def api_keys_used(self) -> str:
        """Hash: key id -> the last day on which the key was used, in days since 1970."""
        return self._catalog("api_keys_used")

    @property
    def api_keys_revoked(self) -> str:
        """Set: ids of keys that were revoked, so that no backup brings them back."""
        return self._catalog("api_keys_revoked")

    @property
    def audit(self) -> str:
        """Stream: every use of a key that may see persons or change the installation; see `store/audit.py`."""
        return self._catalog("audit")

    @property
    def last_backup(self) -> str:
        """String: when the last backup was made, and up to which link."""
        return self._catalog("last_backup")

    def idempotency(self, digest: str) -> str:
        """String, for a day: the digest of the body that an Idempotency-Key first came with, and its links' numbers."""
        return self._catalog(f"idempotency:{digest}")

    # a shard: its clicks and what was counted of them
    def clicks(self, shard: int = 0) -> str:
        """Stream: one entry a click."""
        return self._shard("clicks", shard)

    def recorder(self, identity: str, shard: int = 0) -> str:
        """String: the number of the last batch that a recorder appended in an epoch."""
        return self._shard(f"recorder:{identity}", shard)

    def salt(self, day: str, shard: int = 0) -> str:
        """String, for two days: the salt of a day's visitor hashes."""
        return self._shard(f"salt:{day}", shard)

    def counted_to(self, group: str, shard: int = 0) -> str:
        """String: the newest entry that a group has counted."""
        return self._shard(f"counted_to:{group}", shard)

    def judged_by(self, group: str, shard: int = 0) -> str:
        """Hash: what the workers of a group judge by: `hold_ms`, `rules` (version) and `gateways` (digest)."""
        return self._shard(f"judged_by:{group}", shard)

    def totals(self, shard: int = 0) -> str:
        """Hash: class -> clicks."""
        return self._shard("count:classes", shard)

    def by_topic(self, shard: int = 0) -> str:
        """Hash: topic:class -> clicks."""
        return self._shard("count:topics", shard)

    def by_link(self, campaign: str, shard: int = 0) -> str:
        """Hash: link:class -> clicks of a campaign."""
        return self._shard(f"count:links:{campaign}", shard)

    def by_hour(self, campaign: str, shard: int = 0) -> str:
        """Hash: hour:class -> clicks of a campaign; the hour in Unix hours."""
        return self._shard(f"count:hours:{campaign}", shard)

    def by_reader(self, campaign: str, shard: int = 0) -> str:
        """Hash: name:value -> human clicks of a campaign, by what is known of their readers.

        `lang:de`, `country:DE`, and device, system and program together: `agent:desktop/Windows/Firefox`.
        """
        return self._shard(f"count:readers:{campaign}", shard)

    def unique_of_link(self, link: int, shard: int = 0) -> str:
        """HyperLogLog: who clicked a link."""
        return self._shard(f"unique:link:{link}", shard)

    def unique_of_campaign(self, campaign: str, shard: int = 0) -> str:
        """HyperLogLog: who clicked in a campaign."""
        return self._shard(f"unique:campaign:{campaign}", shard)

    def unique_of_topic(self, topic: str, month: str, shard: int = 0) -> str:
        """HyperLogLog: who clicked on a topic in a month (`2026-11`)."""
        return self._shard(f"unique:topic:{topic}:{month}", shard)

    def poison(self, shard: int = 0) -> str:
        """Stream: entries that could not be counted, set aside with the reason."""
        return self._shard("clicks:poison", shard)
