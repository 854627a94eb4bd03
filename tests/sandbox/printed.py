"""What a container of an image prints."""

from sandbox.engine import Engine
from sandbox.image import Image


def printed(engine: Engine, image: Image, command: str) -> str:
    """What a command of a shell prints in a container of the image, which is then removed."""
    container = engine.api.create_container(image.reference, ["sh", "-c", command])["Id"]
    try:
        engine.api.start(container)
        engine.api.wait(container)
        return str(engine.api.logs(container).decode())
    finally:
        engine.api.remove_container(container, force=True)
