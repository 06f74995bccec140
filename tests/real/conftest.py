"""The real parts that tests share; each is described in its own file."""

from tests.real.dockerd import docker
from tests.real.installation import installed
from tests.real.lived_in import host

__all__ = ["docker", "host", "installed"]
