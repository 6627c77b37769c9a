// connect-web over gRPC-Web in headless Chromium, from a page of another origin than the server's: one that CORS admits
// (loopback) and one that it refuses (a name that Chromium is told to find on loopback).

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { fileURLToPath } from "node:url";

import { build } from "esbuild";
import { chromium } from "playwright-core";

import { baseUrl, descriptorSet, has, setting, tokens } from "./shared.mjs";

const REFUSED_HOST = "evil.example";

const site = await serveSite();
const browser = await chromium.launch({
  executablePath: setting("CHROMIUM"),
  args: [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    `--host-resolver-rules=MAP ${REFUSED_HOST} 127.0.0.1`,
  ],
});
try {
  await admitted(await open("127.0.0.1"));
  await refused(await open(REFUSED_HOST));
} finally {
  await browser.close();
  site.close();
}

async function admitted({ call, traffic }) {
  const set = await answered(call("setInstanceFeatures", { loginDefaultOrg: true }));
  has("set from the page", set.details, { sequence: "1", resourceOwner: "demo" });
  const status = await soon("Chromium to ask first by a preflight", traffic.preflight);
  assert.ok(status === 200 || status === 204, `the preflight is answered with ${status}`);
  const user = await answered(call("getUserFeatures", { userId: "ada", inheritance: true }));
  has("get from the page", user, { loginDefaultOrg: { enabled: true, source: "SOURCE_INSTANCE" } });

  const bad = await call("setInstanceFeatures", { loginV2: { baseUri: "ftp://example.com" } });
  has("the error in the page", bad.error, {
    code: "InvalidArgument",
    reason: "FIELD_INVALID",
    domain: "zitadel.feature.v2",
    fields: ["login_v2.base_uri"],
  });
  assert.ok(bad.error.requestId, "the page reads the request id");
  const missing = await call("getUserFeatures", { userId: "ada" });
  has("the trailers-only error in the page", missing.error, { code: "NotFound", reason: "NO_FEATURES_SET" });
}

async function refused({ call, traffic }) {
  const { response, error } = await call("setInstanceFeatures", { userSchema: true });
  assert.equal(response, undefined, "a page of a foreign origin is answered");
  assert.equal(error.reason, undefined, "a page of a foreign origin reads no details");
  await soon(`CORS to block the call, which failed with '${error.message}'`, traffic.blocked);
  const { call: look } = await open("127.0.0.1");
  const own = await answered(look("getInstanceFeatures", {}));
  has("a page of a foreign origin writes nothing", own.details, { sequence: "1" });
}

async function answered(call) {
  const { response, error } = await call;
  assert.equal(error, undefined, `the page's call failed: ${JSON.stringify(error)}`);
  return response;
}

/** Opens the page under a host name; gives its `call`, and what CORS did in `traffic`. */
async function open(host) {
  const context = await browser.newContext();
  const page = await context.newPage();
  const traffic = await watch(await context.newCDPSession(page));
  await page.goto(`http://${host}:${site.address().port}/`);
  await page.evaluate(([url, token]) => window.prepare(url, token), [baseUrl, tokens.instance]);
  const call = (method, request) => page.evaluate(([name, body]) => window.call(name, body), [method, request]);
  return { call, traffic };
}

/** Promises of the status of the first CORS preflight, and of the first request that CORS blocks. */
async function watch(session) {
  const first = (event, find) =>
    new Promise((resolve) => session.on(event, (parameters) => find(parameters) && resolve(find(parameters))));
  const preflight = first("Network.responseReceived", ({ type, response }) => type === "Preflight" && response.status);
  const blocked = first("Network.loadingFailed", ({ corsErrorStatus }) => corsErrorStatus?.corsError);
  await session.send("Network.enable");
  return { preflight, blocked };
}

/** What Chromium tells of a call may come after the call's end. */
async function soon(what, promise) {
  const limit = AbortSignal.timeout(10_000);
  const late = new Promise((_, reject) => limit.addEventListener("abort", () => reject(new Error(`waited for ${what}`))));
  return Promise.race([promise, late]);
}

/** Serves the page on a port of its own, so that its origin is never the server's. */
async function serveSite() {
  const path = fileURLToPath(new URL("page.mjs", import.meta.url));
  const bundle = await build({ entryPoints: [path], bundle: true, format: "esm", write: false, logLevel: "warning" });
  const files = {
    "/": ["text/html", '<!doctype html><title>Test page</title><script type="module" src="/page.js"></script>'],
    "/page.js": ["text/javascript", bundle.outputFiles[0].contents],
    "/descriptors": ["application/octet-stream", descriptorSet],
  };
  const server = createServer((request, response) => {
    const [type, content] = files[request.url] ?? ["text/plain", ""];
    response.writeHead(files[request.url] ? 200 : 404, { "content-type": type }).end(content);
  });
  await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
  return server;
}
