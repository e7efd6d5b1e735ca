"""A code is what the hashids package gives for (link, recipient, tag), and nobody else can make one."""

import string

import pytest
from hashids import Hashids
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from redirector.codes import MAX_CODE_CHARACTERS, MAX_LINK, MAX_RECIPIENT, Codes, Decoded, hashids_for
from redirector.errors import InvalidInput, InvalidSetting

SECRET = "a secret of this installation"
CODES = Codes(SECRET)
ASCII = [chr(number) for number in range(128)]
URL_CHARACTERS = string.ascii_letters + string.digits + "-._~"

links = st.integers(1, MAX_LINK) | st.integers(1, 10**6) | st.sampled_from([1, 43, 44, 44**2 - 1, 44**2, MAX_LINK])
recipients = st.just(0) | st.integers(0, MAX_RECIPIENT) | st.sampled_from([1, 44, 44**2, MAX_RECIPIENT])
secrets = st.text(min_size=1, max_size=100)
typical = pytest.mark.parametrize(
    "code", [CODES.encode(123456), CODES.encode(123456, 2**59 + 1)], ids=["aggregate", "individual"]
)


@st.composite
def alphabets(draw: st.DrawFn) -> str:
    """25 or more of the characters that may stand in an alphabet, in any order."""
    shuffled = draw(st.permutations(URL_CHARACTERS))
    return "".join(shuffled[: draw(st.integers(25, len(shuffled)))])


class TestDefinition:
    @settings(deadline=None)
    @given(secret=secrets, keys=st.lists(secrets, max_size=3), link=links, recipient=recipients)
    def test_code_is_the_packages(self, secret: str, keys: list[str], link: int, recipient: int) -> None:
        """For any secret, keys and numbers, the hashids package reads the code and would have written it."""
        code = Codes(secret, keys).encode(link, recipient)

        numbers = hashids_for(secret).decode(code)
        assert numbers[:2] == (link, recipient)
        assert 0 <= numbers[2] < 2**48
        assert hashids_for(secret).encode(*numbers) == code

    @settings(deadline=None, max_examples=50)
    @given(secret=secrets, alphabet=alphabets(), link=links, recipient=recipients)
    def test_code_is_the_packages_in_any_alphabet(self, secret: str, alphabet: str, link: int, recipient: int) -> None:
        """The same holds for every alphabet; the code is short enough, and is read back."""
        codes = Codes(secret, alphabet=alphabet)
        code = codes.encode(link, recipient)

        package = hashids_for(secret, alphabet)
        assert package.encode(*package.decode(code)) == code
        assert package.decode(code)[:2] == (link, recipient)
        assert len(code) <= MAX_CODE_CHARACTERS
        assert codes.decode(code) == (link, recipient)

    @given(text=st.text(alphabet=Hashids.ALPHABET, max_size=40))
    def test_what_the_package_cannot_read_is_unknown(self, text: str) -> None:
        """A text that the package would not have written is no code of ours either."""
        assume(hashids_for(SECRET).decode(text) == ())

        assert CODES.decode(text) is None

    def test_code_is_as_it_always_was(self) -> None:
        """Mails already sent stay good: the first version made these codes and this token."""
        made = (CODES.encode(1), CODES.encode(123456, 987654321), CODES.recipient_token("reader-1"))

        assert made == ("1pSgIZ3xxDKjJx", "WrMzZskXQq3khOwOYxgVAX", 795081859907389218)

    def test_salt_is_printable_and_not_the_secret(self) -> None:
        """Whoever recovers the salt from samples does not have the secret."""
        salt = hashids_for(SECRET)._salt

        assert salt.isascii()
        assert salt.isalnum()
        assert SECRET not in salt


class TestRoundTrip:
    @given(link=links, recipient=recipients)
    def test_a_code_says_what_was_encoded(self, link: int, recipient: int) -> None:
        """Decoding gives back the link and the recipient."""
        code = CODES.encode(link, recipient)

        assert CODES.decode(code) == Decoded(link, recipient)

    def test_an_individual_code_is_short_enough_to_print(self) -> None:
        """With a recipient a code has about 27 characters; the largest numbers make 35."""
        lengths = [len(CODES.encode(10**6, 2**59)), len(CODES.encode(MAX_LINK, MAX_RECIPIENT))]

        assert lengths[0] <= 28
        assert lengths[1] <= 35

    @pytest.mark.parametrize(
        ("link", "recipient", "field"),
        [
            pytest.param(0, 0, "link", id="no link"),
            pytest.param(-1, 0, "link", id="negative link"),
            pytest.param(MAX_LINK + 1, 0, "link", id="link too large"),
            pytest.param(1, -1, "recipient", id="negative recipient"),
            pytest.param(1, MAX_RECIPIENT + 1, "recipient", id="recipient too large"),
        ],
    )
    def test_numbers_outside_the_range_are_refused(self, link: int, recipient: int, field: str) -> None:
        """A number that a code cannot carry is named, not cut."""
        with pytest.raises(InvalidInput) as refused:
            CODES.encode(link, recipient)

        assert refused.value.field == field
        assert refused.value.part == str(link if field == "link" else recipient)


class TestForgery:
    @typical
    def test_every_changed_character_is_noticed(self, code: str) -> None:
        """With any one character put in the place of any other, re-cased for one, a code is unknown."""
        changed = {code[:at] + new + code[at + 1 :] for at in range(len(code)) for new in ASCII} - {code}

        assert [each for each in changed if CODES.decode(each) is not None] == []

    @typical
    def test_every_inserted_character_is_noticed(self, code: str) -> None:
        """With any one character more, anywhere, a code is unknown: a leading zero and a second zero too."""
        extended = {code[:at] + new + code[at:] for at in range(len(code) + 1) for new in ASCII}

        assert [each for each in extended if CODES.decode(each) is not None] == []

    @typical
    def test_every_missing_piece_is_noticed(self, code: str) -> None:
        """With any run of characters left out, a code is unknown."""
        size = len(code)
        shortened = {code[:start] + code[end:] for start in range(size) for end in range(start + 1, size + 1)}

        assert [each for each in shortened if CODES.decode(each) is not None] == []

    @typical
    def test_another_case_is_another_code(self, code: str) -> None:
        """A mail client that changes the case of a URL has made another one."""
        recased = {code.lower(), code.upper(), code.swapcase(), code.capitalize()} - {code}

        assert [each for each in recased if CODES.decode(each) is not None] == []

    @pytest.mark.parametrize(
        "numbers",
        [
            pytest.param((123456, 0, 0), id="another tag"),
            pytest.param((123456, 0), id="no tag"),
            pytest.param((123456,), id="one number"),
            pytest.param((123456, 0, 1, 2), id="four numbers"),
            pytest.param((0, 0, 1), id="link zero"),
            pytest.param((MAX_LINK + 1, 0, 1), id="link too large"),
            pytest.param((1, MAX_RECIPIENT + 1, 1), id="recipient too large"),
            pytest.param((1, 1, 2**48), id="tag too large"),
        ],
    )
    def test_the_salt_alone_makes_no_code(self, numbers: tuple[int, ...]) -> None:
        """Whoever knows the salt can write well-formed codes, which are unknown for want of a tag."""
        forged = hashids_for(SECRET).encode(*numbers)

        assert CODES.decode(forged) is None

    def test_a_tag_is_good_for_its_own_numbers_only(self) -> None:
        """The tag of one code, put behind another link or recipient, makes no code."""
        package = hashids_for(SECRET)
        link, recipient, tag = package.decode(CODES.encode(123456, 2**59))
        transplanted = [package.encode(link + 1, recipient, tag), package.encode(link, recipient + 1, tag)]

        assert [CODES.decode(each) for each in transplanted] == [None, None]

    @typical
    def test_guards_make_another_code(self, code: str) -> None:
        """The package's padding, which it ignores when it splits a code, is not ignored here."""
        guard = hashids_for(SECRET)._guards[0]

        assert CODES.decode(guard + code) is None
        assert CODES.decode(code + guard) is None
        assert CODES.decode("a" + guard + code + guard + "b") is None

    @pytest.mark.parametrize(
        "text",
        [
            pytest.param("", id="empty"),
            pytest.param("a", id="one character"),
            pytest.param("\0", id="NUL"),
            pytest.param("\ud800", id="surrogate"),
            pytest.param("ä" * 20, id="not ASCII"),
            pytest.param("\N{FULLWIDTH DIGIT ONE}" * 20, id="full-width digits"),
            pytest.param(" " * 20, id="spaces"),
            pytest.param("../../etc/passwd", id="path"),
            pytest.param("%00%0d%0a", id="escapes"),
            pytest.param("x" * 10_000, id="10 kB"),
        ],
    )
    def test_other_texts_are_unknown(self, text: str) -> None:
        """What is nothing like a code is unknown, without a fuss."""
        assert CODES.decode(text) is None
        assert CODES.decode(CODES.encode(1) + text) is None or text == ""

    @given(text=st.text(alphabet=st.characters()) | st.text(alphabet=Hashids.ALPHABET, max_size=70))
    def test_decode_never_raises(self, text: str) -> None:
        """Any text at all, lone surrogates included, is decoded to None."""
        assert CODES.decode(text) is None


class TestKeys:
    def test_the_secret_signs_when_there_is_no_key(self) -> None:
        """Without signing keys the secret is the one key."""
        code = Codes(SECRET).encode(1, 2)

        assert Codes(SECRET, (SECRET,)).encode(1, 2) == code

    def test_the_newest_key_signs(self) -> None:
        """The first key decides what a code looks like, the others do not matter to it."""
        code = Codes(SECRET, ("new", "old")).encode(1, 2)

        assert code == Codes(SECRET, ("new",)).encode(1, 2)
        assert code != Codes(SECRET, ("old",)).encode(1, 2)

    @given(link=links, recipient=recipients)
    def test_an_older_key_still_verifies(self, link: int, recipient: int) -> None:
        """A code signed before the rotation is good as long as its key is listed."""
        code = CODES.encode(link, recipient)

        assert ROTATED.decode(code) == (link, recipient)

    def test_a_retired_key_makes_its_codes_unknown(self) -> None:
        """A code signed with a key that is no longer listed is unknown."""
        code = Codes(SECRET, ("old",)).encode(1, 2)

        assert Codes(SECRET, ("new", "old")).decode(code) == (1, 2)
        assert Codes(SECRET, ("new",)).decode(code) is None

    def test_codes_of_another_installation_are_unknown(self) -> None:
        """Two secrets share no codes, not even under the same signing key."""
        code = Codes("another secret", ("key",)).encode(1, 2)

        assert Codes(SECRET, ("key",)).decode(code) is None


ROTATED = Codes(SECRET, ("newest", "newer", SECRET))


class TestRecipientTokens:
    @given(recipient=st.text(alphabet=st.characters(exclude_categories=["Cs"])))
    def test_a_token_fits_into_a_code(self, recipient: str) -> None:
        """Any id gives a token of 60 bits that is not 0, which would be nobody."""
        token = CODES.recipient_token(recipient)

        assert 0 < token <= MAX_RECIPIENT
        assert CODES.decode(CODES.encode(1, token)) == (1, token)

    def test_a_token_depends_on_the_secret_and_not_on_the_keys(self) -> None:
        """Keys are rotated and readers stay the same people; another installation cannot know them."""
        token = CODES.recipient_token("reader-1")

        assert ROTATED.recipient_token("reader-1") == token
        assert Codes("another secret", (SECRET,)).recipient_token("reader-1") != token
        assert CODES.recipient_token("reader-2") != token

    def test_an_id_that_is_no_text_is_refused(self) -> None:
        """A lone surrogate cannot be UTF-8: the id was broken on its way."""
        with pytest.raises(InvalidInput) as refused:
            CODES.recipient_token("reader-\ud800")

        assert refused.value.part == r"'reader-\ud800'"


class TestAlphabets:
    @pytest.mark.parametrize(
        "alphabet",
        [
            pytest.param("", id="none"),
            pytest.param("abcdefghijklmno", id="15 characters"),
            pytest.param("abcdefghijklmnoo", id="15 different characters"),
            pytest.param(Hashids.ALPHABET + "/", id="a slash"),
            pytest.param(Hashids.ALPHABET + " ", id="a space"),
            pytest.param(Hashids.ALPHABET + "ä", id="not ASCII"),
            pytest.param("cfhistuCFHISTUab", id="separators only"),
        ],
    )
    def test_an_unsuitable_alphabet_is_refused(self, alphabet: str) -> None:
        """An alphabet that would spoil URLs or make codes too long is named as a wrong setting."""
        with pytest.raises(InvalidSetting) as refused:
            Codes(SECRET, alphabet=alphabet)

        assert refused.value.field == "alphabet"
        assert refused.value.part == alphabet
        assert refused.value.remedy

    def test_a_secret_may_hold_any_bytes_of_the_environment(self) -> None:
        """Bytes that are not UTF-8 reach Python as surrogates, and work."""
        codes = Codes("secret \udcff")

        assert codes.decode(codes.encode(7, 8)) == (7, 8)
