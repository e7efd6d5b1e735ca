"""Links for readers to click on, where each must lead, and which click stands where in the stream."""

import random
from collections.abc import Iterable, Iterator
from urllib.parse import urlsplit

from redirector.client import Client
from redirector.codes import Codes

LINKS = 20
Answer = tuple[int, str]
GONE: Answer = (410, "")


class Links:
    """So many links: of four, three have a URL for each recipient, and one has a URL for everybody.

    A link that is disabled is clicked on like the others, and another takes its place.
    """

    def __init__(self, codes: Codes) -> None:
        self._codes = codes
        self._right: dict[int, set[Answer]] = {}  # by the link's number, how a click on it may be answered
        self._enabled: list[int] = []
        self._for_everybody: set[int] = set()
        self._made = 0
        self._clicks = 0

    def fill(self, client: Client) -> bool:
        """Makes as many links as are missing; answers whether there were any."""
        missing = LINKS - len(self._enabled)
        if missing:
            client.create_campaign("letter", tracking="individual", consent="sign-up form 3")
            client.create_campaign("poster")
        for _ in range(missing):
            destination = f"https://www.example.com/offer-{self._made}?a=1&b=2"
            campaign = "letter" if self._made % 4 else "poster"
            link = client.create_link(destination, campaign, ["solar"]).id
            self._made += 1
            self._enabled.append(link)
            self._right[link] = {(302, destination)}
            if campaign == "poster":
                self._for_everybody.add(link)
        return missing > 0

    def clicks(self, public_url: str) -> Iterator[str]:
        """Tracked URLs without end, no two of them the same."""
        draw = random.Random(self._clicks)
        while True:
            yield self.click_on(draw.choice(list(self._right)), public_url)

    def click_on(self, link: int, public_url: str) -> str:
        """A tracked URL of this link that nobody has clicked on."""
        self._clicks += 1
        recipient = 0 if link in self._for_everybody else self._clicks
        return f"{public_url}/c/{self._codes.encode(link, recipient)}?click={self._clicks}"

    def disable(self, client: Client, draw: random.Random) -> int:
        """Disables one of the links, and returns which; until `settle`, it may also lead where it led before."""
        link = self._enabled.pop(draw.randrange(len(self._enabled)))
        self._right[link].add(GONE)
        client.update_link(link, disabled=True)
        return link

    def settle(self) -> None:
        """From now on, what was disabled must lead nowhere; only the last one is still clicked on."""
        gone = [link for link, right in self._right.items() if GONE in right]
        for link in gone[:-1]:
            del self._right[link]
        for link in gone[-1:]:
            self._right[link] = {GONE}

    def is_right(self, url: str, answer: Answer) -> bool:
        """Whether this is how a click may be answered."""
        return answer in self._right[self._read(url)[0]]

    def in_stream(self, urls: Iterable[str]) -> list[str]:
        """The clicks on these URLs as the stream has them: their link and recipient."""
        return ["{} {}".format(*self._read(url)) for url in urls]

    def _read(self, url: str) -> tuple[int, int]:
        decoded = self._codes.decode(urlsplit(url).path.rpartition("/")[2])
        assert decoded is not None
        return decoded.link, decoded.recipient
