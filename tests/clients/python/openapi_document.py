"""openapi-spec-validator: checks that the server's document is valid OpenAPI 3.1."""

import json
import urllib.request

from openapi_spec_validator import OpenAPIV31SpecValidator, validate

from shared import DEADLINE, equal, setting


def main():
    with urllib.request.urlopen(f"http://{setting('FEATURE_ADDRESS')}/openapi.json", timeout=DEADLINE) as answer:
        equal("content type", answer.headers["content-type"], "application/json")
        document = json.load(answer)
    validate(document, cls=OpenAPIV31SpecValidator)
    equal("operations", sum(len(verbs) for verbs in document["paths"].values()), 12 + 64)


main()
