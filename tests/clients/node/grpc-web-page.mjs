// The page of grpc-web.mjs: functions that call the server and return the answer or the error.
// The messages are plain JSON objects instead of the classes that the package's generator makes.

import { GrpcWebClientBase, MethodDescriptor, MethodType } from "grpc-web";

import { Contract, FEATURES, HEALTH } from "./contract.mjs";

window.prepare = async (format, baseUrl, token) => {
  const descriptorSet = await fetch("/descriptors").then((response) => response.arrayBuffer());
  const contract = new Contract(new Uint8Array(descriptorSet));
  const client = new GrpcWebClientBase({ format });
  const metadata = { authorization: `Bearer ${token}`, "x-zitadel-orgid": "acme" };

  const method = (service, name, type) => {
    const { path, write, read } = contract.codec(service, name);
    return { url: `${baseUrl}/${path}`, descriptor: new MethodDescriptor(`/${path}`, type, Object, Object, write, read) };
  };
  const summary = (error) =>
    contract.summaryOfStatus(error.code, error.message, error.metadata?.["grpc-status-details-bin"]);

  window.call = (name, request) => {
    const { url, descriptor } = method(FEATURES, name, MethodType.UNARY);
    return client.unaryCall(url, request, metadata, descriptor).then(
      (response) => ({ response }),
      (error) => ({ error: summary(error) }),
    );
  };
  window.firstOfWatch = () => {
    const { url, descriptor } = method(HEALTH, "watch", MethodType.SERVER_STREAMING);
    const stream = client.serverStreaming(url, { service: FEATURES }, {}, descriptor);
    return new Promise((resolve, reject) => {
      stream.on("data", (answer) => (stream.cancel(), resolve(answer)));
      stream.on("error", (error) => reject(new Error(`the watch failed: ${error.message}`)));
      stream.on("end", () => reject(new Error("the watch ended without an answer")));
    });
  };
};
