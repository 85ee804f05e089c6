"""Finds fault with every container image that is not pinned by a digest."""

import json

import wit_world
from componentize_py_types import Err
from wit_world.imports.types import Finding, Level

# Where a kind keeps its pod.
PODS = [["spec"], ["spec", "template", "spec"], ["spec", "jobTemplate", "spec", "template", "spec"]]


class WitWorld(wit_world.WitWorld):
    def validate(self, objects, params):
        config = json.loads(params.config)
        allow = tuple(config.pop("allow", []))
        for key in config:
            # The error of the function's WIT type: a text.
            raise Err(f"config: unknown key `{key}`; known: allow")
        findings = []
        for index, item in enumerate(objects):
            for path, image in images(json.loads(item)):
                if "@sha256:" not in image and not image.startswith(allow):
                    message = f'the image "{image}" has no digest: pin it as NAME@sha256:...'
                    findings.append(Finding(Level.ERROR, "image-not-pinned", message, index, path, None))
        return findings


def images(item):
    """Each image of an object, with where it stands."""
    for keys in PODS:
        pod = item
        for key in keys:
            pod = (pod or {}).get(key)
        for containers in ("initContainers", "containers"):
            for n, container in enumerate((pod or {}).get(containers) or []):
                yield f"/{'/'.join(keys)}/{containers}/{n}/image", container.get("image", "")
