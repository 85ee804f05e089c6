"""Gives every object a label that says which team it belongs to."""

import json

import wit_world
from componentize_py_types import Err
from wit_world.imports import log
from wit_world.imports.types import Diagnostic, Level


class WitWorld(wit_world.WitWorld):
    def transform(self, objects, params):
        config = json.loads(params.config)
        team = config.pop("team", "")
        for key in config:
            raise fail("bad-config", f"config: unknown key `{key}`; known: team")
        if not team:
            raise fail("bad-config", "config.team is missing: say which team the app belongs to")
        log.write(log.Severity.INFO, f"{len(objects)} objects of team {team}")
        return [labelled(json.loads(o), team) for o in objects]


def labelled(item, team):
    labels = item["metadata"].get("labels") or {}
    item["metadata"]["labels"] = {**labels, "team": team}
    return json.dumps(item).encode()


def fail(code, message, path=None, line=None):
    """What ends the call, once it is raised: the error of the function's WIT type, a list."""
    return Err([Diagnostic(Level.ERROR, code, message, path, line)])
