"""A code is a link's number and its reader's token in a form short enough to print.

By definition it is `hashids.encode(link, recipient, tag)`. Hashids only disguises: its salt can be recovered from
samples. The tag, 48 bits of a keyed hash, is what lets nobody else make a code. The package takes 15-50 us a call,
as long as all the rest of a redirect; but its alphabets follow from a code's first character alone, so they are
worked out once, by the package's own functions, and a call comes down to looking up digits in tables.
"""

import hmac
import string
from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b
from itertools import product
from struct import Struct
from typing import NamedTuple

from hashids import Hashids, _reorder

from redirector.errors import InvalidInput, InvalidSetting

MAX_LINK = 2**53 - 1  # the largest whole number that every JSON reader keeps exact
MAX_RECIPIENT = 2**60 - 1
MAX_CODE_CHARACTERS = 64

_UNRESERVED = frozenset(string.ascii_letters + string.digits + "-._~")  # RFC 3986, 2.3: never escaped in a URL
_MIN_DIGITS = 7  # with fewer, the largest numbers would need more than 64 characters
_NO_DIGIT = b"\xff"  # stands for every character that is not a digit, and is no character of a code
_pack = Struct(">QQ").pack
_first_64_bits = Struct(">Q").unpack_from  # 0.1 us less than a slice and `int.from_bytes`


class Decoded(NamedTuple):
    """What a code says; recipient 0 is nobody in particular. (As a frozen dataclass it would take 0.3 us longer.)"""

    link: int
    recipient: int


class _Alphabets(NamedTuple):
    """The digits of a code's three numbers, as tables for `bytes.translate`, for one first character."""

    first_character: bytes
    link: bytes
    recipient: bytes
    tag: bytes
    from_link: bytes
    from_recipient: bytes


class Codes:
    """Makes codes, and knows its own.

    `secret` gives the disguise and the recipients' tokens. It and the alphabet never change, or mails already sent
    die. `signing_keys` come newest first: the first signs, all verify; none means the secret itself. To begin to
    rotate, pass (new, secret); a key that is left out is retired, and its codes are unknown.
    """

    def __init__(self, secret: str, signing_keys: Sequence[str] = (), *, alphabet: str = Hashids.ALPHABET) -> None:
        package = hashids_for(secret, alphabet)
        digits = package._alphabet
        self._base = len(digits)
        self._square = self._base**2
        self._fourth = self._base**4
        # Two digits at a time is half the divisions; three would save 0.4 us more, for 4 MB and 18 ms at the start.
        self._pairs = [bytes(pair) for pair in product(range(self._base), repeat=2)]
        self._digits_of_link = lru_cache(maxsize=256)(self._digits)  # a mailing has many recipients of a few links
        self._separators = [character.encode() for character in package._separators]
        self._separators_to_space = bytes.maketrans(package._separators.encode(), b" " * len(self._separators))
        self._alphabets = [_alphabets(package, first_character) for first_character in digits]
        self._by_first_character = {ord(each.first_character): each for each in self._alphabets}
        self._signers = [_signer(key) for key in signing_keys or (secret,)]
        self._tokens = blake2b(key=_derive(secret, b"recipient token"))

    def encode(self, link: int, recipient: int = 0) -> str:
        """The code, signed with the newest key; links are numbered 1 to 2**53-1, recipients' tokens 0 to 2**60-1."""
        if not 0 < link <= MAX_LINK:
            raise InvalidInput("a link's number is 1 to 2**53-1", field="link", part=str(link))
        if not 0 <= recipient <= MAX_RECIPIENT:
            raise InvalidInput("a recipient's token is 0 to 2**60-1", field="recipient", part=str(recipient))
        return self._sign(
            link, self._digits_of_link(link), recipient, self._digits(recipient), self._signers[0]
        ).decode()

    def spellings(self, link: int, recipient: int = 0) -> list[str]:
        """Every code that `decode` takes for this: one for each key, the newest first."""
        digits = self._digits_of_link(link), self._digits(recipient)
        return [self._sign(link, digits[0], recipient, digits[1], signer).decode() for signer in self._signers]

    def decode(self, code: str) -> Decoded | None:
        """What the code says; None for every text that `encode` would not give with one of the keys."""
        if len(code) > MAX_CODE_CHARACTERS or not code.isascii():
            return None
        text = code.encode()
        parts = text[1:].translate(self._separators_to_space).split(b" ")
        alphabets = self._by_first_character.get(text[0]) if len(parts) == 3 else None
        if alphabets is None:
            return None
        link_digits = parts[0].translate(alphabets.from_link)
        recipient_digits = parts[1].translate(alphabets.from_recipient)
        link = self._number(link_digits)
        recipient = self._number(recipient_digits)
        if not 0 < link <= MAX_LINK or recipient > MAX_RECIPIENT:
            return None
        # Neither number may begin with a zero, which would not change it; nothing at all is not a way to write 0.
        if not link_digits[0] or not (recipient_digits[0] if recipient else recipient_digits == b"\0"):
            return None
        # Well formed and authentic are one question: is this, to the letter, what a key makes of these numbers?
        for signer in self._signers:
            if hmac.compare_digest(self._sign(link, link_digits, recipient, recipient_digits, signer), text):
                return Decoded(link, recipient)
        return None

    def recipient_token(self, recipient: str) -> int:
        """60 bits, never 0, in place of the mailing tool's own id of a reader; nothing leads back to the id."""
        try:
            name = recipient.encode()
        except UnicodeEncodeError:
            raise InvalidInput(
                "a recipient's id must be text", field="recipient", part=ascii(recipient), remedy="send it as UTF-8"
            ) from None
        token = self._tokens.copy()
        token.update(name)
        return int(_first_64_bits(token.digest())[0]) >> 4 or 1

    def _sign(self, link: int, link_digits: bytes, recipient: int, recipient_digits: bytes, signer: blake2b) -> bytes:
        """`hashids.encode(link, recipient, tag)`, in ASCII."""
        tagger = signer.copy()  # 0.15 us less than keying a new one
        tagger.update(_pack(link, recipient))
        tag = _first_64_bits(tagger.digest())[0] >> 16
        alphabets = self._alphabets[(link % 100 + recipient % 101 + tag % 102) % self._base]
        first_character, for_link, for_recipient, for_tag, _, _ = alphabets
        separators = self._separators
        one = link_digits.translate(for_link)
        two = recipient_digits.translate(for_recipient)
        three = self._digits(tag).translate(for_tag)
        after_one = separators[link % one[0] % len(separators)]
        after_two = separators[recipient % (two[0] + 1) % len(separators)]
        return b"".join((first_character, one, after_one, two, after_two, three))

    def _digits(self, number: int) -> bytes:
        pairs, square, fourth = self._pairs, self._square, self._fourth
        tail = b""
        while number >= fourth:  # dividing a large number takes longest: 0.1 us less than two digits at a time
            number, four = divmod(number, fourth)
            tail = pairs[four // square] + pairs[four % square] + tail
        if number >= square:
            tail = pairs[number % square] + tail
            number //= square
        return pairs[number].lstrip(b"\0") + tail or b"\0"

    def _number(self, digits: bytes) -> int:
        number, base = 0, self._base
        for digit in digits:
            number = number * base + digit
        return number


def hashids_for(secret: str, alphabet: str = Hashids.ALPHABET) -> Hashids:
    """The package's own encoder, which defines what a code looks like."""
    if not _UNRESERVED.issuperset(alphabet) or len(set(alphabet)) < 16:
        raise InvalidSetting(
            "an alphabet is 16 or more different characters that no URL escapes",
            field="alphabet",
            part=alphabet,
            remedy="use letters, digits and -._~",
        )
    package = Hashids(salt=_derive(secret, b"hashids salt").hex(), alphabet=alphabet)
    if len(package._alphabet) < _MIN_DIGITS:
        raise InvalidSetting(
            "too few of the alphabet's characters are left for digits",
            field="alphabet",
            part=alphabet,
            remedy="add characters other than c, f, h, i, s, t, u and their capitals, which separate numbers",
        )
    return package


def _alphabets(package: Hashids, first_character: str) -> _Alphabets:
    digits = package._alphabet
    to_text, from_text = [], []
    for _ in range(3):
        digits = _reorder(digits, (first_character + package._salt + digits)[: len(digits)])
        to_text.append(digits.encode().ljust(256, _NO_DIGIT))
        from_text.append(bytes(digits.find(chr(byte)) & 0xFF for byte in range(256)))
    return _Alphabets(first_character.encode(), *to_text, *from_text[:2])


def _signer(key: str) -> blake2b:
    """A keyed hash that has already read the key's id, to be copied for each tag."""
    return blake2b(_derive(key, b"signing key id")[:8], key=_derive(key, b"signing key"))


def _derive(secret: str, purpose: bytes) -> bytes:
    """32 bytes, different for each purpose, from a secret of any length."""
    return blake2b(secret.encode("utf-8", "surrogatepass"), digest_size=32, person=purpose).digest()
