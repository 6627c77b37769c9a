// The page of connect-web.mjs: functions that call the server and return the answer or the error.

import { createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-web";

import { Contract } from "./contract.mjs";

const transports = {
  "grpc-web": (baseUrl) => createGrpcWebTransport({ baseUrl }),
  "connect-json": (baseUrl) => createConnectTransport({ baseUrl, useHttpGet: true }),
  "connect-proto": (baseUrl) => createConnectTransport({ baseUrl, useHttpGet: true, useBinaryFormat: true }),
};

window.prepare = async (protocol, baseUrl, token) => {
  const descriptorSet = await fetch("/descriptors").then((response) => response.arrayBuffer());
  const contract = new Contract(new Uint8Array(descriptorSet));
  const transport = transports[protocol](baseUrl);
  const call = contract.caller(transport, { authorization: `Bearer ${token}`, "x-zitadel-orgid": "acme" });
  window.call = (method, request) =>
    call(method, request).then(
      (response) => ({ response }),
      (error) => ({ error: contract.summary(error) }),
    );
  window.firstOfWatch = () => contract.firstOfWatch(transport);
  // Sets a feature once the watch has begun.
  window.deltaOfWatch = async (names, method, request) => {
    const first = [];
    const headers = { authorization: `Bearer ${token}` };
    const delta = await contract.watchValues(transport, headers, { names }, async (message) => {
      if (first.push(message) === 1) {
        await call(method, request);
      }
      return message.delta;
    });
    return { snapshot: first[0].snapshot, delta };
  };
};
