"""What is shipped for Prometheus, in the versions of each Debian and in a newer one, and for other agents."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.daemon import PROJECT
from tests.real import debian
from tests.real.installation import RELEASES

pytestmark = [pytest.mark.real("mmdebstrap"), pytest.mark.timeout(1800)]

FOLDER = PROJECT / "prometheus"


def tool(release: str, name: str) -> list[str]:
    """How to run a program of this release here: with its own libraries."""
    root = debian.system(release)
    program = str(root / "usr/bin" / name)
    if root == Path("/"):
        return [program]
    libraries = root / "usr/lib/x86_64-linux-gnu"
    return [str(libraries / "ld-linux-x86-64.so.2"), "--library-path", str(libraries), program]


def checked(*argv: str | Path) -> str:
    """Runs a checking tool, which has to be content; what it printed."""
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def snippet(language: str) -> str:
    """The one example of this language in docs/fleets.md."""
    (found,) = re.findall(rf"```{language}\n(.*?)```", (PROJECT / "docs/fleets.md").read_text(), re.DOTALL)
    return str(found)


@pytest.mark.parametrize("release", RELEASES)
def test_prometheus_takes_configuration_and_rules(release: str) -> None:
    """Promtool of that release finds both rule files good, and the configuration that names them."""
    promtool = tool(release, "promtool")
    assert "SUCCESS: 2 rule files found" in checked(*promtool, "check", "config", FOLDER / "prometheus.yml")
    checked(*promtool, "check", "rules", *sorted((FOLDER / "rules").glob("*.yml")))


@pytest.mark.parametrize("release", RELEASES)
def test_the_alerts_are_the_same_in_every_prometheus(release: str) -> None:
    """The unit tests of the rules pass in that release's promtool."""
    checked(*tool(release, "promtool"), "test", "rules", *sorted((FOLDER / "tests").glob("*.yml")))


@pytest.mark.parametrize("release", RELEASES)
def test_alertmanager_takes_its_configuration(release: str) -> None:
    """Amtool of that release."""
    assert "SUCCESS" in checked(*tool(release, "amtool"), "check-config", FOLDER / "alertmanager.yml")


def test_prometheus_3_takes_it_all() -> None:
    """Where a promtool of Prometheus 3 is on PATH as promtool3; Debian has none yet."""
    promtool = shutil.which("promtool3")
    if promtool is None:
        pytest.skip("no promtool3 on PATH")
    checked(promtool, "check", "config", FOLDER / "prometheus.yml")
    checked(promtool, "test", "rules", *sorted((FOLDER / "tests").glob("*.yml")))


@pytest.mark.real("vmagent")
def test_vmagent_takes_the_snippet(tmp_path: Path) -> None:
    """VictoriaMetrics' agent finds the documented scrape good."""
    config = tmp_path / "scrape.yml"
    config.write_text(snippet("yaml"))
    store = ("-remoteWrite.url=http://127.0.0.1:9/api/v1/write", f"-remoteWrite.tmpDataPath={tmp_path}/data")
    checked(
        "vmagent", "-dryRun", f"-promscrape.config={config}", "-promscrape.config.strictParse=true", *store
    )
