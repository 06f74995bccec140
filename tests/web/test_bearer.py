import pytest
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from exporter.web.bearer import LEAST, MOST, authorization, token_in

TOKEN = b"0123456789abcdef" * 2


@pytest.mark.parametrize("data", [TOKEN, TOKEN + b"\r\n", b" \t" + TOKEN + b"\n\n", b"~!" * 16, b"x" * MOST])
def test_a_file_with_one_long_word_holds_a_token(data: bytes) -> None:
    """Blanks around it don't count, and any printable character does."""
    assert token_in(data) == data.strip()


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"\n", b"x" * (LEAST - 1), b" " * 40 + b"x", b"x" * (MOST + 1), TOKEN + b" " + TOKEN),
        *(TOKEN + b"\n" + TOKEN, TOKEN + b"\x7f", TOKEN + b"\0", TOKEN + b"\xff", "é".encode() * 32),
    ],
)
def test_anything_else_holds_none(data: bytes) -> None:
    """What is short can be guessed; what is not printable is no text that a header carries."""
    assert token_in(data) is None


@pytest.mark.parametrize(("values", "given"), [([], ""), (["a"], "a"), (["a", "a"], ""), (["", "a"], "")])
def test_several_authorizations_are_none(values: list[str], given: str) -> None:
    """Some servers read the first one, some the last one: whoever sends two gets in at neither."""
    headers = CIMultiDict(("Authorization", value) for value in values)
    assert authorization(make_mocked_request("GET", "/", headers=headers)) == given
