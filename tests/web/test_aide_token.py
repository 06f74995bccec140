"""The token of a request, and its comparison."""

import pytest

from exporter.web.aide_token import bearer, same

TOKEN = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("header", "token"),
    [
        ("Bearer abc", "abc"),
        ("bearer  abc ", "abc"),
        ("Bearer", None),
        ("Bearer ", None),
        ("", None),
        ("Basic abc", None),
    ],
)
def test_bearer(header: str, token: str | None) -> None:
    """Only a Bearer header carries a token."""
    assert bearer(header) == token


def test_same() -> None:
    """Only the very token is the token, whatever characters are tried."""
    assert same(TOKEN, TOKEN)
    assert not same(TOKEN[:-1], TOKEN)
    assert not same("", TOKEN)
    assert not same("\udcff\u00fc", TOKEN)
