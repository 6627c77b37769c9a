// npm's grpc-web in headless Chromium, from a page of another origin than the server's.
// Run as `node grpc-web.mjs text` or `node grpc-web.mjs binary`.

import assert from "node:assert/strict";

import { answered, Browser, OWN_HOST } from "./chromium.mjs";
import { has } from "./shared.mjs";

const CONTENT_TYPES = { text: "application/grpc-web-text", binary: "application/grpc-web+proto" };

const format = process.argv[2];
assert.ok(CONTENT_TYPES[format], `name the format: ${Object.keys(CONTENT_TYPES).join(" or ")}`);

const browser = await Browser.launch("grpc-web-page.mjs");
try {
  await calls(await browser.open(OWN_HOST, format));
} finally {
  await browser.close();
}

async function calls({ call, firstOfWatch, traffic }) {
  const baseUri = `https://login.example.com/${"ä".repeat(10)}`;
  const set = await answered(call("setInstanceFeatures", { loginDefaultOrg: true, improvedPerformance: [1, 3] }));
  has("set from the page", set.details, { sequence: "2", resourceOwner: "demo" });
  assert.equal(traffic.last(), `POST ${CONTENT_TYPES[format]}`, "how a call is sent");
  const user = await answered(call("getUserFeatures", { userId: "ada", inheritance: true }));
  has("get from the page", user, {
    loginDefaultOrg: { enabled: true, source: "SOURCE_INSTANCE" },
    improvedPerformance: {
      executionPaths: ["IMPROVED_PERFORMANCE_ORG_BY_ID", "IMPROVED_PERFORMANCE_PROJECT"],
      source: "SOURCE_INSTANCE",
    },
  });

  const domain = "zitadel.feature.v2";
  const rows = [
    // name, method, request, error
    ["a bad field", "setInstanceFeatures", { loginV2: { baseUri } },
      { code: "InvalidArgument", reason: "FIELD_INVALID", fields: ["login_v2.base_uri"], domain }],
    ["nothing set", "getUserFeatures", { userId: "ada" }, { code: "NotFound", reason: "NO_FEATURES_SET", resource: "ada" }],
    ["no permission", "resetSystemFeatures", {},
      { code: "PermissionDenied", reason: "PERMISSION_MISSING", metadata: { permission: "system.feature.delete" } }],
  ];
  for (const [what, method, request, expected] of rows) {
    const { response, error } = await call(method, request);
    assert.equal(response, undefined, `${what}: answered OK: ${JSON.stringify(response)}`);
    has(what, error, expected);
    assert.ok(error.message && error.requestId, `${what}: the page reads message and request id: ${JSON.stringify(error)}`);
  }
  const reset = await answered(call("resetInstanceFeatures", {}));
  has("reset from the page", reset.details, { sequence: "3" });

  // In binary mode, the package returns a stream's messages only after the stream has ended. A watch never ends.
  if (format === "text") {
    has("the first answer of a stream", await firstOfWatch(), { status: "SERVING" });
  }
}
