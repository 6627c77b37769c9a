"""grpcio with OpenTelemetry: calls within one trace of the client. Prints a line of JSON for each of its spans."""

import json

from opentelemetry import trace
from opentelemetry.instrumentation.grpc import GrpcInstrumentorClient
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from shared import Client, channel, setting, token


def main():
    spans, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    trace.set_tracer_provider(provider)
    GrpcInstrumentorClient().instrument()
    user = {"userId": setting("FEATURE_USER")}
    with channel() as on:
        client = Client(on, token("instance"))
        with provider.get_tracer("test").start_as_current_span("test") as root:
            client.call("SetInstanceFeatures", {"loginV2": {"baseUri": setting("FEATURE_VALUE")}})
            client.call("SetUserFeatures", {**user, "actions": True})
            # The second one is answered from the cache.
            client.call("GetUserFeatures", {**user, "inheritance": True})
            client.call("GetUserFeatures", {**user, "inheritance": True})
    trace_id = root.get_span_context().trace_id
    contexts = [(span.name, span.get_span_context()) for span in spans.get_finished_spans()]
    # Calls of reflection are in traces of their own.
    for name, context in (entry for entry in contexts if entry[1].trace_id == trace_id):
        print(json.dumps({"name": name, "trace": f"{context.trace_id:032x}", "id": f"{context.span_id:016x}"}))


main()
