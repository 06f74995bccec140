"""The real parts that tests share; each is described in its own file."""

from tests.real.dockerd import docker

__all__ = ["docker"]
