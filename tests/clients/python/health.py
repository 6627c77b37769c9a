"""grpcio's health client: checks and watches the server and each service, without a token."""

import time

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from shared import DEADLINE, SERVICE, channel, equal

SERVING = health_pb2.HealthCheckResponse.SERVING


def main():
    # The reflection and health services accept compressed messages, as all services do.
    for compression in (grpc.Compression.NoCompression, grpc.Compression.Gzip):
        with channel(compression=compression) as on:
            health = health_pb2_grpc.HealthStub(on)
            check(health)
            watch(health)


def check(health):
    for service in ("", SERVICE):
        answer = health.Check(health_pb2.HealthCheckRequest(service=service), timeout=DEADLINE)
        equal(f"check of {service!r}", answer.status, SERVING)
    try:
        health.Check(health_pb2.HealthCheckRequest(service="no.such.Service"), timeout=DEADLINE)
    except grpc.RpcError as error:
        equal("check of an unknown service", error.code(), grpc.StatusCode.NOT_FOUND)
    else:
        raise AssertionError("check of an unknown service: answered OK")


def watch(health):
    for service in ("", SERVICE):
        stream = health.Watch(health_pb2.HealthCheckRequest(service=service), timeout=DEADLINE)
        equal(f"first of the watch of {service!r}", next(stream).status, SERVING)
        stream.cancel()
    # A stream without news ends at its deadline, with the right code and not much later.
    started = time.monotonic()
    stream = health.Watch(health_pb2.HealthCheckRequest(service=SERVICE), timeout=1)
    try:
        answers = [answer.status for answer in stream]
    except grpc.RpcError as error:
        equal("a watch with a deadline", error.code(), grpc.StatusCode.DEADLINE_EXCEEDED)
    else:
        raise AssertionError(f"a watch with a deadline: ended OK after {answers}")
    took = time.monotonic() - started
    assert took < DEADLINE, f"a deadline of one second ended the watch after {took} s"


main()
