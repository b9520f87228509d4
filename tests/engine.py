"""The Docker engine of this machine, and the image that sandboxes are made of in tests."""

import os
import subprocess
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import docker
import pytest
from docker.errors import DockerException, ImageNotFound

RECIPE = Path(__file__).parents[1] / "sandbox" / "offline-image"
IMAGE = "PERDURE_SANDBOX_IMAGE"


@pytest.fixture(scope="session")
def engine() -> Iterator[docker.DockerClient]:
    """The Docker engine of this machine."""
    try:
        client = docker.from_env()
    except DockerException as error:
        pytest.skip(f"no Docker engine answers: {error}")
    yield client
    client.close()


@pytest.fixture(scope="session")
def docker_image(engine: docker.DockerClient) -> str:
    """The tag of the sandbox's image: the one that the environment names, or the tests' own."""
    if given := os.environ.get(IMAGE):
        return given
    tag, recipe = "perdure-sandbox-test", sha256(RECIPE.read_bytes()).hexdigest()[:16]
    try:
        made_by = engine.images.get(tag).labels.get("perdure.recipe")
    except ImageNotFound:
        made_by = None
    if made_by != recipe:
        subprocess.run([RECIPE, tag], check=True)
    return tag
