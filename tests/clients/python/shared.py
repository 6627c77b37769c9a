"""Shared by all Python scripts: the server and tokens from the environment, calls by reflection, and the checks."""

import os
import sys

import grpc
from google.protobuf import descriptor_pool, json_format, message_factory
from google.rpc import error_details_pb2
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from grpc_status import rpc_status

SERVICE = "zitadel.feature.v2.FeatureService"
DOMAIN = "zitadel.feature.v2"
DEADLINE = 20


def setting(name):
    """The value of an environment variable of the test."""
    if name not in os.environ:
        sys.exit(f"the environment variable {name} is not set; these scripts are run by the tests in tests/e2e")
    return os.environ[name]


def channel(**options):
    return grpc.insecure_channel(setting("FEATURE_ADDRESS"), **options)


def token(name):
    """`system` belongs to no instance; `instance` and `viewer` belong to the instance `demo`."""
    return setting(f"FEATURE_TOKEN_{name.upper()}")


class Client:
    """Calls methods by name with JSON objects. Learns their messages by reflection only."""

    def __init__(self, on, bearer, **metadata):
        self._channel = on
        self._metadata = [(name.replace("_", "-"), value) for name, value in metadata.items()]
        if bearer is not None:
            self._metadata.append(("authorization", f"Bearer {bearer}"))
        pool = descriptor_pool.DescriptorPool(ProtoReflectionDescriptorDatabase(on))
        self.service = pool.FindServiceByName(SERVICE)

    def call(self, method, request=None, **options):
        description = self.service.methods_by_name[method]
        message = message_factory.GetMessageClass(description.input_type)()
        unary = self._channel.unary_unary(
            f"/{SERVICE}/{method}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=message_factory.GetMessageClass(description.output_type).FromString,
        )
        json_format.ParseDict(request or {}, message)
        response = unary(message, metadata=self._metadata, **{"timeout": DEADLINE, **options})
        return json_format.MessageToDict(response)


def equal(what, actual, expected):
    if actual != expected:
        raise AssertionError(f"{what}: expected {expected!r}, got {actual!r}")


def refused(what, call, code, reason, field=None):
    """Fails unless the call fails with this code, this reason and, if given, this field."""
    try:
        answer = call()
    except grpc.RpcError as error:
        equal(f"{what}: code", error.code(), code)
        details = _details(error)
    else:
        raise AssertionError(f"{what}: answered OK: {answer}")
    info = details["ErrorInfo"]
    equal(f"{what}: reason and domain", (info.reason, info.domain), (reason, DOMAIN))
    if not details["RequestInfo"].request_id:
        raise AssertionError(f"{what}: the RequestInfo has no id")
    if field is not None:
        equal(f"{what}: fields", [violation.field for violation in details["BadRequest"].field_violations], [field])


def _details(error):
    """The details of a status, by message name."""
    status = rpc_status.from_call(error)
    if status is None:
        raise AssertionError(f"no details in {error.code()}: {error.details()}")
    details = {}
    for packed in status.details:
        name = packed.TypeName().removeprefix("google.rpc.")
        message = getattr(error_details_pb2, name)()
        packed.Unpack(message)
        details[name] = message
    return details
