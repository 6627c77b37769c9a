// What runs in the browser: one function that calls a method of the server and tells the answer or the error.

import { createGrpcWebTransport } from "@connectrpc/connect-web";

import { Contract } from "./contract.mjs";

window.prepare = async (baseUrl, token) => {
  const descriptorSet = await fetch("/descriptors").then((response) => response.arrayBuffer());
  const contract = new Contract(new Uint8Array(descriptorSet));
  const transport = createGrpcWebTransport({ baseUrl });
  const call = contract.caller(transport, { authorization: `Bearer ${token}`, "x-zitadel-orgid": "acme" });
  window.call = (method, request) =>
    call(method, request).then(
      (response) => ({ response }),
      (error) => ({ error: contract.summary(error) }),
    );
};
