"""The container engine: containers by a Docker or Podman daemon of this machine."""

from dais.engines.container.check import check_docker, check_podman
from dais.engines.container.engine import ContainerEngine
from dais.engines.container.options import ContainerOptions

__all__ = ["ContainerEngine", "ContainerOptions", "check_docker", "check_podman"]
