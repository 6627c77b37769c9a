"""grpcio with dynamic messages from reflection: all twelve methods, error details and compression."""

import grpc

from shared import Client, channel, equal, refused, token

# level, fields that name the resource in a request, owner, source
LEVELS = [
    ("System", {}, "SYSTEM", "SOURCE_SYSTEM"),
    ("Instance", {}, "demo", "SOURCE_INSTANCE"),
    ("Organization", {"organizationId": "acme"}, "demo", "SOURCE_ORGANIZATION"),
    ("User", {"userId": "ada"}, "acme", "SOURCE_USER"),
]


def main():
    with channel() as on:
        system = Client(on, token("system"), x_zitadel_instance_id="demo", x_zitadel_orgid="acme")
        equal("methods", set(system.service.methods_by_name), {method for level in LEVELS for method in methods(level)})
        nothing_is_set(system)
        levels_override_downwards(system)
        resets_go_back_upwards(system)
        refusals(on)
    with channel(compression=grpc.Compression.Gzip) as on:
        compression(Client(on, token("instance")))


def methods(level):
    return [f"{verb}{level[0]}Features" for verb in ("Set", "Reset", "Get")]


def nothing_is_set(client):
    equal("system", client.call("GetSystemFeatures")["loginDefaultOrg"], {})
    for level, names, *_ in LEVELS[1:]:
        get = f"Get{level}Features"
        equal(level, client.call(get, {**names, "inheritance": True})["loginDefaultOrg"], {})
        refused(level, lambda: client.call(get, names), grpc.StatusCode.NOT_FOUND, "NO_FEATURES_SET")


def levels_override_downwards(client):
    for position, (level, names, owner, source) in enumerate(LEVELS):
        enabled = position % 2 == 0
        # Two levels use a mask, too, which has no effect here.
        mask = {"updateMask": "loginDefaultOrg,actions"} if names else {}
        set_request = {**names, **mask, "loginDefaultOrg": enabled, "actions": True}
        set_method, _, get_method = methods((level,))
        details = client.call(set_method, set_request)["details"]
        equal(f"{level}: sequence and owner", (details["sequence"], details["resourceOwner"]), ("2", owner))
        equal(f"{level}: the same again", client.call(set_method, set_request)["details"], details)
        read = client.call(get_method, names)
        equal(f"{level}: own", read["loginDefaultOrg"], flag(enabled, source))
        equal(f"{level}: details", read["details"], details)
        user = client.call("GetUserFeatures", {"userId": "ada", "inheritance": True})
        equal(f"{level}: as the user sees it", user["loginDefaultOrg"], flag(enabled, source))


def resets_go_back_upwards(client):
    for position in reversed(range(len(LEVELS))):
        level, names, *_ = LEVELS[position]
        _, reset, _ = methods((level,))
        equal(f"{level}: reset", client.call(reset, names)["details"]["sequence"], "3")
        equal(f"{level}: nothing left to reset", client.call(reset, names)["details"]["sequence"], "3")
        above = flag((position - 1) % 2 == 0, LEVELS[position - 1][3]) if position else {}
        user = client.call("GetUserFeatures", {"userId": "ada", "inheritance": True})
        equal(f"{level}: what the user inherits after its reset", user["loginDefaultOrg"], above)


def refusals(on):
    code = grpc.StatusCode
    instance, viewer = Client(on, token("instance")), Client(on, token("viewer"))
    long_id = {"userId": "u" * 201, "actions": True}
    rows = [
        # name, caller, method, request, code, reason, field
        ("no token", Client(on, None), "GetSystemFeatures", {}, code.UNAUTHENTICATED, "TOKEN_MISSING", None),
        ("garbage", Client(on, "x.y.z"), "GetSystemFeatures", {}, code.UNAUTHENTICATED, "TOKEN_INVALID", None),
        ("a viewer", viewer, "ResetInstanceFeatures", {}, code.PERMISSION_DENIED, "PERMISSION_MISSING", None),
        ("another's level", instance, "ResetSystemFeatures", {}, code.PERMISSION_DENIED, "PERMISSION_MISSING", None),
        ("no change", instance, "SetInstanceFeatures", {}, code.INVALID_ARGUMENT, "NO_CHANGES", None),
        ("no id", instance, "ResetUserFeatures", {}, code.INVALID_ARGUMENT, "FIELD_INVALID", "user_id"),
        ("a long id", instance, "SetUserFeatures", long_id, code.INVALID_ARGUMENT, "FIELD_INVALID", "user_id"),
    ]
    for what, client, method, request, *expected in rows:
        refused(what, lambda: client.call(method, request), *expected)


def compression(client):
    base_uri = "https://login.example.com/" + "a" * 2000
    client.call("SetInstanceFeatures", {"loginV2": {"required": True, "baseUri": base_uri}})
    read = client.call("GetInstanceFeatures", {"inheritance": True})
    equal("what was sent compressed", read["loginV2"]["baseUri"], base_uri)


def flag(enabled, source):
    """A flag in JSON, which omits false."""
    return {"enabled": True, "source": source} if enabled else {"source": source}


main()
