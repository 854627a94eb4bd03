"""Images that a test made, removed with the layers that they stand on."""

from sandbox.engine import Engine

SHARED = ("greenroom/sandbox:", "greenroom/bootstrap:", "greenroom-test:")


def remove_chain(engine: Engine, name: str) -> None:
    """Removes an image and what it stands on, up to what other tests use too. One that is gone
    already is no matter.
    """
    while engine.api.images(name) or name.startswith("sha256:"):
        found = engine.api.inspect_image(name)
        names = found["RepoTags"]
        if any(each.startswith(SHARED) for each in names):
            return
        for each in (f"greenroom/identity:{found['Id'][7:23]}", *names):
            if engine.api.images(each):
                engine.api.remove_image(each)
        alive = {image["Id"] for image in engine.api.images(all=True)}
        if found["Parent"] not in alive:
            return
        name = found["Parent"]
