"""Where the files of the checks are."""

from pathlib import Path

import pytest

from exporter.aide.files import Paths


@pytest.mark.parametrize("name", ["relative", "/with space", "/line\n", "/", "", "/a@b"])
def test_paths_that_aide_would_misread_are_refused(name: str) -> None:
    """A directory that would need quoting in AIDE's configuration is refused."""
    with pytest.raises(ValueError, match="expected an absolute path of plain characters"):
        Paths(Path(name))


def test_paths() -> None:
    """The files are where units and documents name them; only root's directory holds databases."""
    paths = Paths()
    assert str(paths.summary) == "/var/lib/grid-exporter-aide/summary.json"
    assert paths.candidate("1").parent == paths.report("1").parent == paths.private
