"""schemathesis: calls made up from the document, good ones and bad ones. Each answer must be one that it describes."""

import json
import os
import pathlib
import sys
import tempfile

import schemathesis
from hypothesis import configuration, strategies
from schemathesis.cli import schemathesis as command

from shared import equal, setting, token

# What must hold of every answer. That all bad requests are refused is not among it: JSON may be spelled in more ways
# than the document tells, such as an enum's member by number.
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
        # Both libraries leave notes behind.
        os.chdir(folder)
        configuration.set_hypothesis_home_dir(folder)
        # The document cannot say what a mask may name. Mostly good ones get further than made-up texts.
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
                # One instance for all calls: each call to another made-up one would find it empty.
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
    """Fails when schemathesis was content because it called too little."""
    equal("operations called", (report["operations"]["tested"], report["complete"]), (12, True))
    for operation, phases in report["valid_rates"].items():
        accepted = sum(phase["accepted"] for phase in phases.values())
        print(f"{operation}: {accepted} good calls")
        if accepted == 0:
            raise AssertionError(f"{operation}: of all calls made up from the document none was accepted")
    equal("operations with good calls", len(report["valid_rates"]), 12)


main()
