"""connect-python: makes the calls that it reads from standard input as JSON, and prints what it saw of each."""

import json
import os
import pathlib
import sys

from connectrpc.client import ConnectClientSync, ResponseMetadata
from connectrpc.compat import google_protobuf_binary_codec, google_protobuf_json_codec
from connectrpc.compression.gzip import GzipCompression
from connectrpc.errors import ConnectError
from connectrpc.method import IdempotencyLevel, MethodInfo, StreamType
from connectrpc.request import Headers
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory
from pyqwest import HTTPVersion, SyncClient, SyncHTTPTransport

CODECS = {"json": google_protobuf_json_codec(), "proto": google_protobuf_binary_codec()}
TRANSPORTS = {
    "1.1": SyncHTTPTransport(http_version=HTTPVersion.HTTP1),
    "2": SyncHTTPTransport(http_version=HTTPVersion.HTTP2),
}


def service():
    pool = descriptor_pool.DescriptorPool()
    content = pathlib.Path(os.environ["GREETER_DESCRIPTORS"]).read_bytes()
    for file in descriptor_pb2.FileDescriptorSet.FromString(content).file:
        pool.Add(file)
    return pool.FindServiceByName("greeter.v1.Greeter")


def outcome(greeter, call):
    """Makes a call, and returns what the client saw of it."""
    seen = {"messages": [], "code": None}
    with ResponseMetadata() as metadata:
        try:
            for message in answers(greeter, call):
                seen["messages"].append(json_format.MessageToDict(message))
                if len(seen["messages"]) == call.get("cancelAfter"):
                    # Leaving the loop closes the stream without an exception.
                    seen["code"] = "canceled"
                    break
        except ConnectError as error:
            seen["code"] = error.code.value
            seen["message"] = error.message
            seen["details"] = [detail.type_name for detail in error.details]
    header, trailer = moods(metadata.headers), moods(metadata.trailers)
    seen |= {"http": metadata.http_status, "header": header, "trailer": trailer, "metadata": {**header, **trailer}}
    return seen


def answers(greeter, call):
    # A method that the greeter does not have is called like Wave.
    known = greeter.methods_by_name.get(call["method"])
    described = known or greeter.methods_by_name["Wave"]
    input_type = message_factory.GetMessageClass(described.input_type)
    streams = (described.client_streaming, described.server_streaming)
    method = MethodInfo(
        name=call["method"],
        service_name=greeter.full_name,
        input=input_type,
        output=message_factory.GetMessageClass(described.output_type),
        idempotency_level=IdempotencyLevel.NO_SIDE_EFFECTS,
        stream_type=StreamType.UNARY,
    )
    gzip = call["compression"] == "gzip"
    client = ConnectClientSync(
        os.environ["GREETER_URL"],
        codec=CODECS[call["codec"]],
        accept_compression=[GzipCompression()] if gzip else [],
        send_compression=GzipCompression() if gzip else None,
        http_client=SyncClient(TRANSPORTS[call["version"]]),
    )
    headers = Headers(tuple((name, value) for name, value in call.get("headers", [])))
    options = {"method": method, "headers": headers, "timeout_ms": call.get("timeoutMs")}
    requests = [json_format.ParseDict(request, input_type()) for request in call["requests"]]
    if streams == (False, False):
        return [client.execute_unary(request=requests[0], use_get=call.get("get", False), **options)]
    if streams == (True, False):
        return [client.execute_client_stream(request=iter(requests), **options)]
    if streams == (False, True):
        return client.execute_server_stream(request=requests[0], **options)
    return client.execute_bidi_stream(request=iter(requests), **options)


def moods(headers):
    return {name: ", ".join(headers.getall(name)) for name in ("mood", "mood-bin") if name in headers}


greeter = service()
print(json.dumps([outcome(greeter, call) for call in json.load(sys.stdin)]))
