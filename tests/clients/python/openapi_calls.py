"""schemathesis: generates valid and invalid calls from the document. Each answer must match the document."""

import json
import os
import pathlib
import sys
import tempfile

import schemathesis
from hypothesis import configuration, strategies
from schemathesis.cli import schemathesis as command

from shared import equal, setting, token

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


def main():
    with tempfile.TemporaryDirectory() as folder:
        # Both libraries write files into the working directory.
        os.chdir(folder)
        configuration.set_hypothesis_home_dir(folder)
        # The document cannot describe the paths of a mask. Mostly valid masks reach more code than random texts.
        masks = strategies.sampled_from(["*", "actions", "actions,userSchema", "loginV2.required", "noSuchFeature", ""])
        schemathesis.openapi.format("field-mask", masks)
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
    equal("operations called", (report["operations"]["tested"], report["complete"]), (12, True))
    for operation, phases in report["valid_rates"].items():
        accepted = sum(phase["accepted"] for phase in phases.values())
        print(f"{operation}: {accepted} good calls")
        if accepted == 0:
            raise AssertionError(f"{operation}: of all calls made up from the document none was accepted")
    equal("operations with good calls", len(report["valid_rates"]), 12)


main()
