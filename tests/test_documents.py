"""What is documented is there: links, tests, targets, flags, keys, examples."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import msgspec
import pytest

import docs.metrics
from exporter.config.load import parse
from exporter.probe import Schedule
from exporter.probes import KINDS
from tests.daemon import PROJECT

DOCUMENTS = sorted([*PROJECT.glob("*.md"), *PROJECT.glob("docs/*.md")])
GUARANTEES = (PROJECT / "docs/guarantees.md").read_text()
PROMISES = re.findall(r"\[`(test_\w+)`\]\(\.\./(tests/[^)]+)\)", GUARANTEES)


def links() -> Iterator[tuple[Path, str]]:
    """Every link to a file of the project, with the document that it stands in."""
    for document in DOCUMENTS:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)", document.read_text()):
            yield document, target


def make_targets() -> set[str]:
    """Every target that a document tells to make, in code."""
    code = (
        part
        for document in DOCUMENTS
        for part in re.findall(r"```sh\n.*?```|`[^`\n]+`", document.read_text(), re.DOTALL)
    )
    return {target for part in code for target in re.findall(r"\bmake ([a-z][a-z-]*)\b", part)}


def keys(kind: str, settings: object) -> Iterator[str]:
    """The keys of a kind of probe that are its own, as docs/configuring.md spells them."""
    types = [
        it for it in (settings, *get_args(settings)) if isinstance(it, type) and issubclass(it, Schedule)
    ]
    for type_ in types:
        prefix = kind if type_ is settings else f"{kind}[]"
        yield from (f"{prefix}.{field.encode_name}" for field in msgspec.structs.fields(type_))


@pytest.mark.parametrize(
    ("document", "target"), [pytest.param(*it, id=f"{it[0].name}-{it[1]}") for it in links()]
)
def test_every_link_leads_somewhere(document: Path, target: str) -> None:
    """Also from one document to another."""
    assert (document.parent / target).exists()


@pytest.mark.parametrize(("name", "path"), PROMISES)
def test_every_guarantee_has_its_test(name: str, path: str) -> None:
    """A promise without a test is none."""
    assert f"def {name}(" in (PROJECT / path).read_text()


def test_there_are_guarantees() -> None:
    """The table is found by the test above."""
    assert len(PROMISES) > 15


def test_the_readme_is_short() -> None:
    """A newcomer reads it in two minutes."""
    assert len((PROJECT / "README.md").read_text().splitlines()) <= 120


@pytest.mark.parametrize("target", sorted(make_targets()))
def test_every_make_target_exists(target: str) -> None:
    """What a document tells to type can be typed."""
    assert re.search(rf"^{target}:", (PROJECT / "Makefile").read_text(), re.MULTILINE)


def test_the_configuration_shown_is_good() -> None:
    """Who copies it from the README has a configuration that works."""
    (shown,) = re.findall(r"```yaml\n(probes:.*?)```", (PROJECT / "README.md").read_text(), re.DOTALL)
    assert set(parse(shown)) > {"host", "gpu", "disk", "tor"}


def test_every_flag_shown_exists() -> None:
    """No flag is promised that the command line doesn't have, and none is left out of its page."""
    flag = r"--(?:config|web|log|path)\.[a-z.-]+[a-z]"
    known = set(re.findall(flag, (PROJECT / "exporter/__main__.py").read_text()))
    shown = {name for document in DOCUMENTS for name in re.findall(flag, document.read_text())}
    assert shown == known
    assert known <= set(re.findall(flag, (PROJECT / "docs/configuring.md").read_text()))


def test_every_key_is_explained() -> None:
    """docs/configuring.md has each key of each kind that is not every probe's."""
    page = (PROJECT / "docs/configuring.md").read_text()
    own = {key for kind in KINDS for key in keys(kind.name, kind.settings)}
    common = {"ttl", "wait", "timeout"}
    assert {key for key in own if key.rpartition(".")[2] not in common and f"`{key}`" not in page} == set()
    assert {kind.name for kind in KINDS if f"`{kind.name}`" not in page} == set()


def test_the_page_of_metrics_is_the_code_s() -> None:
    """`make generate` was run."""
    assert (PROJECT / "docs/metrics.md").read_text() == docs.metrics.page()


def test_the_address_comes_from_one_setting() -> None:
    """The clone line is the repository of pyproject.toml, in every document."""
    urls = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["urls"]
    shown = {url for document in DOCUMENTS for url in re.findall(r"git clone (\S+)", document.read_text())}
    assert shown == {urls["Repository"]}
