"""schemathesis: generates valid and invalid calls from the document. Each answer must match the document."""

import itertools
import json
import os
import pathlib
import sys
import tempfile
import urllib.request

import schemathesis
from hypothesis import configuration, strategies
from schemathesis.cli import schemathesis as command

from shared import DEADLINE, equal, setting, token

# The checks of every answer. They do not include the refusal of all invalid requests: the server accepts more forms of
# JSON than the document describes, such as an enum's member by number.
CHECKS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
]
EXAMPLES = 20

# What the document cannot describe: names of what is there, and values that fit each other. Most calls get them.
FITTING = {
    "path": {"instance": "demo", "change": "1"},
    "query": {
        "feature": "actions",
        "features": ["actions"],
        "names": ["instances/demo/settings"],
        "parent": "instances/demo",
        "filter": "state = STATE_ACTIVE",
        "pageSize": 10,
        "pageToken": "",
        "updateMask": "owner",
        "orderBy": "revision",
    },
    "body": {
        "parent": "instances/demo",
        "set": {"actions": True},
        "unset": [],
        "etag": "",
        "comment": "fits",
        "owner": "fits",
        "valueType": "VALUE_TYPE_BOOLEAN",
        "defaultValue": False,
        "constraints": None,
        "variants": {},
        "levels": [],
        "labels": {},
        "staleTime": None,
        "displayName": "",
        "description": "",
        "revision": "18",
        "features": ["actions"],
        "requests": [{"name": "instances/demo/settings", "set": {"actions": True}}],
    },
}
calls = itertools.count()


# What a body has to have, by the end of the path.
NEEDED = {
    "features": ["valueType", "defaultValue"],
    "settings": ["set"],
    "settings:revert": ["revision"],
    "{feature}:revert": ["revision"],
}

# Of these, the other one is there.
ALTERNATIVES = ["undo", "at.revision", "at.time"]

# A state stays, so each method that changes one has a feature of its own.
VERBS = ["known", "archive", "unarchive", "deprecate", "undeprecate", "delete", "undelete", "revert"]


def key(path, of):
    return f"{'system' if path.startswith('/v1/features') else 'instance'}-{of}"


def fit(part, values, context):
    if not isinstance(values, dict) or next(calls) % 8 == 7:
        return values
    path = context.operation.path
    _, _, verb = path.partition(":")
    if context.operation.method.upper() == "DELETE":
        verb = "delete"
    keys = {"feature": key(path, verb or "known"), "featureDefinitionId": key(path, "made")}
    fitting = FITTING[part] if "explain" in path else {**FITTING[part], **keys}
    if path.endswith(("/scopes", "/overrides")):
        fitting = {**fitting, "filter": "level = LEVEL_USER"}
    if path.endswith("/changes"):
        fitting = {**fitting, "filter": "actor = operator"}
    values = {name: value for name, value in values.items() if name not in ALTERNATIVES}
    needed = NEEDED.get(path.rpartition("/")[2], []) if part == "body" else []
    values = {**values, **{name: None for name in needed}}
    return {name: fitting.get(name, value) for name, value in values.items()}


def define():
    definition = json.dumps({"valueType": "VALUE_TYPE_BOOLEAN", "defaultValue": False}).encode()
    headers = {"Authorization": f"Bearer {token('system')}", "content-type": "application/json"}
    for parent in ["/v1/features", "/v1/instances/demo/features"]:
        for of in VERBS:
            url = f"http://{setting('FEATURE_ADDRESS')}{parent}?featureDefinitionId={key(parent, of)}"
            urllib.request.urlopen(urllib.request.Request(url, definition, headers), timeout=DEADLINE).close()
        # Only an archived feature can be deleted.
        url = f"http://{setting('FEATURE_ADDRESS')}{parent}/{key(parent, 'delete')}:archive"
        urllib.request.urlopen(urllib.request.Request(url, b"{}", headers), timeout=DEADLINE).close()


@schemathesis.hook
def map_path_parameters(context, path_parameters):
    return fit("path", path_parameters, context)


@schemathesis.hook
def map_query(context, query):
    return fit("query", query, context)


@schemathesis.hook
def map_body(context, body):
    return fit("body", body, context)


def main():
    with tempfile.TemporaryDirectory() as folder:
        # Both libraries write files into the working directory.
        os.chdir(folder)
        configuration.set_hypothesis_home_dir(folder)
        # The document cannot describe the paths of a mask. Mostly valid masks reach more code than random texts.
        masks = strategies.sampled_from(["*", "actions", "actions,userSchema", "loginV2.required", "noSuchFeature", ""])
        schemathesis.openapi.format("field-mask", masks)
        define()
        report = pathlib.Path(folder, "report.json")
        run(report)
        judge(json.loads(report.read_text()))


def run(report):
    try:
        command.main(
            [
                "run",
                f"http://{setting('FEATURE_ADDRESS')}/openapi.json",
                *("--header", f"Authorization: Bearer {token('system')}"),
                # One instance for all calls: an instance with a random name would always be empty.
                *("--header", "x-zitadel-instance-id: demo"),
                # A stream does not end.
                *("--exclude-path-regex", ":watch$"),
                *("--phases", "coverage,fuzzing"),
                *("--checks", ",".join(CHECKS)),
                *("--max-examples", str(EXAMPLES)),
                "--generation-deterministic",
                "--continue-on-failure",
                *("--request-timeout", "20"),
                *("--warnings", "off"),
                *("--report", "json", "--report-json-path", str(report)),
                "--no-color",
            ]
        )
    except SystemExit as exit:
        if exit.code != 0:
            sys.exit(exit.code)


def judge(report):
    """Fails if schemathesis succeeded only because it made too few calls."""
    equal("operations called", (report["operations"]["tested"], report["complete"]), (12 + 58, True))
    for operation, phases in report["valid_rates"].items():
        accepted = sum(phase["accepted"] for phase in phases.values())
        print(f"{operation}: {accepted} good calls")
        if accepted == 0:
            raise AssertionError(f"{operation}: of all calls made up from the document none was accepted")
    equal("operations with good calls", len(report["valid_rates"]), 12 + 58)


main()
