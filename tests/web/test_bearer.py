import pytest
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from exporter.web.bearer import authorization


@pytest.mark.parametrize(("values", "given"), [([], ""), (["a"], "a"), (["a", "a"], ""), (["", "a"], "")])
def test_several_authorizations_are_none(values: list[str], given: str) -> None:
    """Some servers read the first one, some the last one: whoever sends two gets in at neither."""
    headers = CIMultiDict(("Authorization", value) for value in values)
    assert authorization(make_mocked_request("GET", "/", headers=headers)) == given
