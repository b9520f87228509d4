"""What tests of killed sandboxes stand on: the engine and the image of the other ones."""

from tests.sandbox.conftest import docker_image, engine

__all__ = ["docker_image", "engine"]
