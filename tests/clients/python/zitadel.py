"""The published zitadel-client with Connect's JSON over HTTP/1.1: everything that its models support, and its errors.

Its messages on the levels of organization and user have no features, so it can only read and reset there.
"""

import base64

from google.rpc import error_details_pb2
from zitadel_client import ApiError, Zitadel
from zitadel_client import models as m

from shared import DOMAIN, equal, setting, token

USER_GRANT = m.FeatureServiceImprovedPerformance.IMPROVED_PERFORMANCE_USER_GRANT
PROJECT = m.FeatureServiceImprovedPerformance.IMPROVED_PERFORMANCE_PROJECT
SetSystem = m.FeatureServiceSetSystemFeaturesRequest
SetInstance = m.FeatureServiceSetInstanceFeaturesRequest
GetInstance = m.FeatureServiceGetInstanceFeaturesRequest
LoginV2 = m.FeatureServiceLoginV2


def main():
    system, instance, viewer = (features(token(name)) for name in ("system", "instance", "viewer"))
    nothing_is_set(viewer)
    system_is_inherited(system, viewer)
    instance_overrides(instance, viewer)
    resets_go_back(system, instance, viewer)
    organizations_and_users(instance)
    refusals(instance, viewer)


def features(bearer):
    """The client of the feature service with this token."""
    return Zitadel.with_access_token(f"http://{setting('FEATURE_ADDRESS')}", bearer).features


def nothing_is_set(viewer):
    answer = viewer.get_system_features()
    equal("system, nothing set", flag(answer.login_default_org), (False, None))
    equal("system, nothing set: change date", answer.details.change_date, None)
    refused(lambda: viewer.get_instance_features(GetInstance()), 404, "not_found", "NO_FEATURES_SET")


def system_is_inherited(system, viewer):
    login = LoginV2(required=True, base_uri="https://login.example.com/")
    request = SetSystem(login_default_org=True, improved_performance=[PROJECT, USER_GRANT], login_v2=login)
    details = system.set_system_features(request).details
    equal("three features set at once", (details.sequence, details.resource_owner), ("3", "SYSTEM"))
    read = viewer.get_instance_features(GetInstance(inheritance=True))
    equal("a flag, inherited", flag(read.login_default_org), (True, "SOURCE_SYSTEM"))
    equal("the paths, inherited", read.improved_performance.execution_paths, [PROJECT, USER_GRANT])
    equal("the login, inherited", (read.login_v2.required, read.login_v2.base_uri), (True, login.base_uri))
    equal("not set anywhere", flag(read.debug_oidc_parent_error), (False, None))


def instance_overrides(instance, viewer):
    request = SetInstance(login_default_org=False, console_use_v2_user_api=True)
    first = instance.set_instance_features(request).details
    equal("two features set", (first.sequence, first.resource_owner), ("2", "demo"))
    equal("the same again", instance.set_instance_features(request).details, first)
    read = viewer.get_instance_features(GetInstance())
    equal("own: details", read.details, first)
    equal("own: a flag that is off", flag(read.login_default_org), (False, "SOURCE_INSTANCE"))
    equal("own: what only the system has", read.login_v2, None)


def resets_go_back(system, instance, viewer):
    equal("instance reset", instance.reset_instance_features().details.sequence, "3")
    equal("nothing left to reset", instance.reset_instance_features().details.sequence, "3")
    read = viewer.get_instance_features(GetInstance(inheritance=True))
    equal("inherited again", flag(read.login_default_org), (True, "SOURCE_SYSTEM"))
    equal("system reset", system.reset_system_features().details.sequence, "4")
    equal("system, after reset", flag(viewer.get_system_features().login_default_org), (False, None))


def organizations_and_users(instance):
    organization = m.FeatureServiceGetOrganizationFeaturesRequest(organization_id="acme", inheritance=True)
    equal("organization: owner", instance.get_organization_features(organization).details.resource_owner, "demo")
    user = m.FeatureServiceGetUserFeaturesRequest(user_id="ada", inheritance=True)
    equal("user: owner", instance.get_user_features(user).details.resource_owner, "demo")
    reset = m.FeatureServiceResetOrganizationFeaturesRequest(organization_id="acme")
    equal("organization: nothing to reset", instance.reset_organization_features(reset).details.change_date, None)
    reset = m.FeatureServiceResetUserFeaturesRequest(user_id="ada")
    equal("user: nothing to reset", instance.reset_user_features(reset).details.change_date, None)
    unset = m.FeatureServiceSetUserFeatureRequest(user_id="ada")
    refused(lambda: instance.set_user_features(unset), 400, "invalid_argument", "NO_CHANGES")


def refusals(instance, viewer):
    actions = SetInstance(user_schema=True)
    ftp = SetInstance(login_v2=LoginV2(base_uri="ftp://example.com"))
    twice = SetInstance(improved_performance=[PROJECT, PROJECT])
    long_id = m.FeatureServiceResetUserFeaturesRequest(user_id="u" * 201)
    stranger = features("not-a-token")
    rows = [
        # call, HTTP status, code, reason, field
        (stranger.get_system_features, 401, "unauthenticated", "TOKEN_INVALID", None),
        (lambda: viewer.set_instance_features(actions), 403, "permission_denied", "PERMISSION_MISSING", None),
        (lambda: instance.reset_system_features(), 403, "permission_denied", "PERMISSION_MISSING", None),
        (lambda: instance.set_instance_features(SetInstance()), 400, "invalid_argument", "NO_CHANGES", None),
        (lambda: instance.set_instance_features(ftp), 400, "invalid_argument", "FIELD_INVALID", "login_v2.base_uri"),
        (lambda: instance.set_instance_features(twice), 400, "invalid_argument", "FIELD_INVALID", "improved_performance[1]"),
        (lambda: instance.reset_user_features(long_id), 400, "invalid_argument", "FIELD_INVALID", "user_id"),
    ]
    for row in rows:
        refused(*row)


def refused(call, status, code, reason, field=None):
    """Fails unless the call fails with this error, and the client's error model has its code, message and details."""
    try:
        answer = call()
    except ApiError as error:
        what = f"{error.response_body}"
        equal(f"{what}: HTTP status", error.code, status)
        read = m.FeatureServiceConnectError.from_dict(error.response_body)
    else:
        raise AssertionError(f"expected {code} {reason}, answered OK: {answer}")
    equal(f"{what}: code", read.code, code)
    assert read.message, f"{what}: no message"
    details = {detail.type.removeprefix("google.rpc."): decoded(detail) for detail in read.details}
    equal(f"{what}: reason and domain", (details["ErrorInfo"].reason, details["ErrorInfo"].domain), (reason, DOMAIN))
    assert details["RequestInfo"].request_id, f"{what}: no request id"
    if field is not None:
        equal(f"{what}: fields", [violation.field for violation in details["BadRequest"].field_violations], [field])


def decoded(detail):
    """The message of a detail, which is base64 without padding."""
    kind = getattr(error_details_pb2, detail.type.removeprefix("google.rpc."))
    return kind.FromString(base64.b64decode(detail.value + "=" * (-len(detail.value) % 4)))


def flag(value):
    """Whether a flag is on, and its source. JSON omits false and unspecified values."""
    return bool(value.enabled), value.source and value.source.value


main()
