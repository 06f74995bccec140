import re
from pathlib import Path

import pytest

from exporter.config.load import parse
from tests.daemon import PROJECT

README = (PROJECT / "README.md").read_text()
LINKS = re.findall(r"\]\((?!https?:)([^)#]+)\)", README)
PROMISES = re.findall(r"\[`(test_\w+)`\]\((tests/[^)]+)\)", README)


@pytest.mark.parametrize("path", sorted(set(LINKS)))
def test_every_link_leads_somewhere(path: str) -> None:
    """What the README points to is there."""
    assert (PROJECT / path).exists()


@pytest.mark.parametrize(("name", "path"), PROMISES)
def test_every_promise_has_its_test(name: str, path: str) -> None:
    """A promise without a test is none."""
    assert f"def {name}(" in (PROJECT / path).read_text()


def test_there_are_promises() -> None:
    """The table is found by the test above."""
    assert len(PROMISES) > 15


@pytest.mark.parametrize("target", sorted(set(re.findall(r"make ([a-z][a-z-]*)\b", README)) - {"sure"}))
def test_every_make_target_exists(target: str) -> None:
    """What the README tells to type can be typed."""
    assert re.search(rf"^{target}:", (PROJECT / "Makefile").read_text(), re.MULTILINE)


def test_the_configuration_shown_is_good() -> None:
    """Who copies it from the README has a configuration that works."""
    (shown,) = re.findall(r"```yaml\n(probes:.*?)```", README, re.DOTALL)
    assert set(parse(shown)) > {"host", "gpu", "disk", "tor"}


def test_every_flag_shown_exists() -> None:
    """No flag is promised that the command line doesn't have."""
    source = Path(PROJECT / "exporter/__main__.py").read_text()
    for flag in set(re.findall(r"--(?:config|web|log|path)\.[a-z.-]+[a-z]", README)):
        assert f'"{flag}"' in source
