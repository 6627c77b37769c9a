// connect-es in Node: makes the calls that it reads from standard input as JSON, and prints what it saw of each. A call
// with a `verb` is a bare HTTP request.

import { readFileSync } from "node:fs";
import http from "node:http";

import { createFileRegistry, fromBinary, fromJson, toJson } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { compressionGzip, createConnectTransport, Http2SessionManager } from "@connectrpc/connect-node";

const { GREETER_URL: baseUrl, GREETER_DESCRIPTORS: descriptors } = process.env;
const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, readFileSync(descriptors)));
const service = registry.getService("greeter.v1.Greeter");
const session = new Http2SessionManager(baseUrl);

/** Makes a call, and returns what the client saw of it. */
async function outcome(call) {
  const seen = { messages: [], code: null };
  const stop = new AbortController();
  // A method that the greeter does not have is called like Wave.
  const known = service.methods.find((method) => method.name === call.method);
  const method = known ?? { ...service.method.wave, name: call.method };
  const input = (message) => fromJson(method.input, message);
  const args = [method, stop.signal, call.timeoutMs, call.headers];
  try {
    if (method.methodKind === "unary") {
      const answer = await transport(call).unary(...args, input(call.requests[0]));
      seen.messages.push(toJson(method.output, answer.message));
      note(seen, answer.header, answer.trailer);
    } else {
      // With `inTurn`, each request waits for the answer to the one before.
      const turns = call.requests.map(() => deferred());
      const requests = (async function* () {
        for (const [index, message] of call.requests.entries()) {
          yield input(message);
          await (call.inTurn && turns[index].promise);
        }
      })();
      const answer = await transport(call).stream(...args, requests);
      note(seen, answer.header);
      for await (const message of answer.message) {
        turns[seen.messages.length]?.resolve();
        seen.messages.push(toJson(method.output, message));
        if (seen.messages.length === call.cancelAfter) {
          stop.abort();
        }
      }
      note(seen, answer.header, answer.trailer);
    }
  } catch (error) {
    const { code, rawMessage, details, metadata } = ConnectError.from(error);
    seen.code = Code[code].replace(/(?<!^)[A-Z]/g, "_$&").toLowerCase();
    seen.message = rawMessage;
    seen.details = details.map((detail) => detail.type);
    seen.metadata = moods(metadata);
  }
  return seen;
}

function transport({ codec, version, compression, get }) {
  return createConnectTransport({
    baseUrl,
    httpVersion: version,
    sessionManager: session,
    useBinaryFormat: codec === "proto",
    sendCompression: compression === "gzip" ? compressionGzip : undefined,
    acceptCompression: compression === "gzip" ? [compressionGzip] : [],
    compressMinBytes: 0,
    useHttpGet: get === true,
  });
}

function note(seen, header, trailer = new Headers()) {
  Object.assign(seen, { header: moods(header), trailer: moods(trailer) });
}

function moods(headers) {
  return Object.fromEntries(["mood", "mood-bin"].filter((name) => headers.has(name)).map((n) => [n, headers.get(n)]));
}

function deferred() {
  const made = {};
  made.promise = new Promise((resolve) => (made.resolve = resolve));
  return made;
}

/** Sends an HTTP/1.1 request, and returns the answer. Bodies are in base64. */
function bare({ verb, path, headers, body }) {
  return new Promise((resolve, reject) => {
    const request = http.request(new URL(path, baseUrl), { method: verb, headers }, async (response) => {
      const content = Buffer.concat(await response.toArray());
      resolve({ http: response.statusCode, headers: response.headers, body: content.toString("base64") });
    });
    request.on("error", reject).end(Buffer.from(body, "base64"));
  });
}

const outcomes = [];
for (const call of JSON.parse(readFileSync(0))) {
  outcomes.push(await (call.verb ? bare(call) : outcome(call)));
}
session.abort();
process.stdout.write(JSON.stringify(outcomes));
