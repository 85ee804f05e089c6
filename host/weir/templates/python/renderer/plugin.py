"""Makes one ConfigMap of the files in the app's folder `files`."""

import json

import wit_world
from componentize_py_types import Err
from wit_world.imports import tree
from wit_world.imports.types import Diagnostic, Document, Level


class WitWorld(wit_world.WitWorld):
    def render(self, params):
        config = json.loads(params.config)
        name = config.pop("name", params.app)
        for key in config:
            raise fail("bad-config", f"config: unknown key `{key}`; known: name")
        folder = f"{params.path}/files" if params.path else "files"
        try:
            entries = tree.entries(folder)
        except Err:
            raise fail("no-files", "there is no such folder: put the files of the ConfigMap there", folder)
        data = {e.name: text(f"{folder}/{e.name}") for e in entries if e.kind == tree.Kind.FILE}
        item = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}
        return [Document(folder, json.dumps(item).encode())]


def text(path):
    try:
        return tree.read(path).decode()
    except UnicodeDecodeError:
        raise fail("not-text", "the file is not UTF-8: leave it out", path)


def fail(code, message, path=None, line=None):
    """What ends the call, once it is raised: the error of the function's WIT type, a list."""
    return Err([Diagnostic(Level.ERROR, code, message, path, line)])
