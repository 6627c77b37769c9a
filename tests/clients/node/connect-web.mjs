// connect-web in headless Chromium, from a page of another origin than the server's: first one that CORS allows
// (loopback), then one that it refuses (a name that Chromium maps to loopback).
// Run as `node connect-web.mjs grpc-web`, `… connect-json` or `… connect-proto`.

import assert from "node:assert/strict";

import { answered, Browser, OTHER_HOST, OWN_HOST, soon } from "./chromium.mjs";
import { has } from "./shared.mjs";

// The form of each protocol's requests: for a write, a read, and a call with a stream of answers.
const SENT = {
  "grpc-web": ["POST application/grpc-web+proto", "POST application/grpc-web+proto", "POST application/grpc-web+proto"],
  "connect-json": ["POST application/json", "GET encoding=json", "POST application/connect+json"],
  "connect-proto": ["POST application/proto", "GET encoding=proto", "POST application/connect+proto"],
};

const protocol = process.argv[2];
assert.ok(SENT[protocol], `name the protocol: ${Object.keys(SENT).join(", ")}`);
const [writes, reads, streams] = SENT[protocol];

const browser = await Browser.launch("connect-page.mjs");
try {
  await admitted(await browser.open(OWN_HOST, protocol));
  await refused(await browser.open(OTHER_HOST, protocol));
} finally {
  await browser.close();
}

async function admitted({ call, firstOfWatch, deltaOfWatch, traffic }) {
  const set = await answered(call("setInstanceFeatures", { loginDefaultOrg: true }));
  has("set from the page", set.details, { sequence: "1", resourceOwner: "demo" });
  assert.equal(traffic.last(), writes, "how a write is sent");
  const status = await soon("Chromium to ask first by a preflight", traffic.preflight);
  assert.ok(status === 200 || status === 204, `the preflight is answered with ${status}`);
  const user = await answered(call("getUserFeatures", { userId: "ada", inheritance: true }));
  has("get from the page", user, { loginDefaultOrg: { enabled: true, source: "SOURCE_INSTANCE" } });
  assert.equal(traffic.last(), reads, "how a read is sent");

  const bad = await call("setInstanceFeatures", { loginV2: { baseUri: "ftp://example.com" } });
  has("the error in the page", bad.error, {
    code: "InvalidArgument",
    reason: "FIELD_INVALID",
    domain: "zitadel.feature.v2",
    fields: ["login_v2.base_uri"],
  });
  assert.ok(bad.error.requestId, "the page reads the request id");
  const missing = await call("getUserFeatures", { userId: "ada" });
  has("the error of a read", missing.error, { code: "NotFound", reason: "NO_FEATURES_SET", resource: "ada" });
  assert.equal(traffic.last(), reads, "how a read that fails is sent");

  has("the first answer of a stream", await firstOfWatch(), { status: "SERVING" });
  assert.equal(traffic.last(), streams, "how a stream is asked for");
  const names = ["instances/current/settings"];
  const { snapshot, delta } = await deltaOfWatch(names, "setInstanceFeatures", { userSchema: true });
  const value = (revision) => ({ value: true, source: "VALUE_SOURCE_INSTANCE", revision });
  has("all values", snapshot.scopes[0].values, { login_default_org: value("1") });
  has("what differs", delta.scopes[0], { settings: "instances/demo/settings", values: { user_schema: value("2") } });
}

async function refused({ call, traffic }) {
  const { response, error } = await call("setInstanceFeatures", { userSchema: true });
  assert.equal(response, undefined, "a page of a foreign origin is answered");
  assert.equal(error.reason, undefined, "a page of a foreign origin reads no details");
  await soon(`CORS to block the call, which failed with '${error.message}'`, traffic.blocked);
  const { call: look } = await browser.open(OWN_HOST, protocol);
  const own = await answered(look("getInstanceFeatures", {}));
  has("a page of a foreign origin writes nothing", own.details, { sequence: "2" });
}
