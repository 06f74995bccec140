from pathlib import Path

from tests.record import record


def test_the_newest_of_each_is_kept(tmp_path: Path) -> None:
    """A run takes its own line's place and leaves the others."""
    results = tmp_path / "results.md"
    for name, result in (("soak", "old"), ("fuzz: gpu", "good"), ("soak", "new")):
        record(name, result, results)
    heading, *lines = results.read_text().splitlines()
    assert heading.startswith("# ")
    told_now = [line.partition(" (")[0] for line in lines if line.startswith("- ")]
    assert told_now == ["- **fuzz: gpu**: good", "- **soak**: new"]
