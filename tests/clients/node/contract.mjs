// What the scripts know of the contract, from descriptors read at run time. Runs in Node and in the browser.

import { createFileRegistry, fromBinary, fromJson, toJson } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, createClient } from "@connectrpc/connect";

const SERVICE = "zitadel.feature.v2.FeatureService";

/** The service and the error details that a descriptor set describes. */
export class Contract {
  #registry;

  constructor(descriptorSet) {
    this.#registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, descriptorSet));
  }

  /** A function that calls a method, e.g. `setUserFeatures`, and speaks JSON objects. */
  caller(transport, headers = {}) {
    const service = this.#registry.getService(SERVICE);
    const client = createClient(service, transport);
    return async (method, request = {}) => {
      const { input, output } = service.method[method];
      const response = await client[method](fromJson(input, request), { headers });
      return toJson(output, response, { registry: this.#registry });
    };
  }

  /** An error as a plain object: its code, and what stands in its details. */
  summary(error) {
    if (!(error instanceof ConnectError)) {
      throw error;
    }
    const [info] = this.#details(error, "ErrorInfo");
    const [request] = this.#details(error, "RequestInfo");
    const [resource] = this.#details(error, "ResourceInfo");
    const violations = this.#details(error, "BadRequest").flatMap((detail) => detail.fieldViolations);
    return {
      code: Code[error.code],
      message: error.rawMessage,
      reason: info?.reason,
      domain: info?.domain,
      metadata: info?.metadata,
      fields: violations.map((violation) => violation.field),
      resource: resource?.resourceName,
      requestId: request?.requestId,
    };
  }

  #details(error, name) {
    return error.findDetails(this.#registry.getMessage(`google.rpc.${name}`));
  }
}
