// The contract, from descriptors that are read at run time. Runs in Node and in the browser.

import { createFileRegistry, fromBinary, fromJson, toBinary, toJson } from "@bufbuild/protobuf";
import { anyUnpack, FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, createClient } from "@connectrpc/connect";

export const FEATURES = "zitadel.feature.v2.FeatureService";
export const WATCH = "feature.v1.WatchService";
export const HEALTH = "grpc.health.v1.Health";

/** The services and error details in a descriptor set. */
export class Contract {
  #registry;

  constructor(descriptorSet) {
    this.#registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, descriptorSet));
  }

  /** A function that calls a method, e.g. `setUserFeatures`, with JSON objects as request and answer. */
  caller(transport, headers = {}) {
    const service = this.#registry.getService(FEATURES);
    const client = createClient(service, transport);
    return async (method, request = {}) => {
      const { input, output } = service.method[method];
      const response = await client[method](fromJson(input, request), { headers });
      return toJson(output, response, { registry: this.#registry });
    };
  }

  /** The first answer of the health service's stream. */
  async firstOfWatch(transport) {
    const service = this.#registry.getService(HEALTH);
    const stop = new AbortController();
    const stream = createClient(service, transport).watch({ service: FEATURES }, { signal: stop.signal });
    for await (const answer of stream) {
      stop.abort();
      return toJson(service.method.watch.output, answer);
    }
    throw new Error("the watch ended without an answer");
  }

  /**
   * Watches the values of settings: calls `told` with each message as JSON until it returns something, which is the
   * result.
   */
  async watchValues(transport, headers, request, told) {
    const service = this.#registry.getService(WATCH);
    const stop = new AbortController();
    const { input, output } = service.method.watchValues;
    const stream = createClient(service, transport).watchValues(fromJson(input, request), { headers, signal: stop.signal });
    for await (const message of stream) {
      const result = await told(toJson(output, message, { registry: this.#registry }));
      if (result) {
        stop.abort();
        return result;
      }
    }
    throw new Error("the watch ended without an answer");
  }

  /** The functions that encode a method's request from a JSON object and decode its answer to one. */
  codec(service, method) {
    const { input, output } = this.#registry.getService(service).method[method];
    return {
      path: `${service}/${method[0].toUpperCase()}${method.slice(1)}`,
      write: (request) => toBinary(input, fromJson(input, request)),
      read: (bytes) => toJson(output, fromBinary(output, bytes)),
    };
  }

  /** An error as a plain object: its code, and the contents of its details. */
  summary(error) {
    if (!(error instanceof ConnectError)) {
      throw error;
    }
    const details = (type) => error.findDetails(type);
    return this.#summary(error.code, error.rawMessage, details);
  }

  /** The same for an error of npm's grpc-web: a code, a message, and the encoded status in base64. */
  summaryOfStatus(code, message, encoded) {
    const bytes = Uint8Array.from(atob(encoded ?? ""), (character) => character.charCodeAt(0));
    const packed = fromBinary(this.#registry.getMessage("google.rpc.Status"), bytes).details;
    const details = (type) => packed.map((detail) => anyUnpack(detail, type)).filter((detail) => detail !== undefined);
    return this.#summary(code, message, details);
  }

  #summary(code, message, details) {
    const named = (name) => details(this.#registry.getMessage(`google.rpc.${name}`));
    const [info] = named("ErrorInfo");
    const [request] = named("RequestInfo");
    const [resource] = named("ResourceInfo");
    const violations = named("BadRequest").flatMap((detail) => detail.fieldViolations);
    return {
      code: Code[code],
      message,
      reason: info?.reason,
      domain: info?.domain,
      metadata: info?.metadata,
      fields: violations.map((violation) => violation.field),
      resource: resource?.resourceName,
      requestId: request?.requestId,
    };
  }
}
