// Shared by all Node scripts: the server and tokens from the environment, the contract, and the checks.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";

import { Contract } from "./contract.mjs";

/** The value of an environment variable of the test. */
export function setting(name) {
  const value = process.env[name];
  assert.ok(value, `the environment variable ${name} is not set; these scripts are run by the tests in tests/e2e`);
  return value;
}

export const baseUrl = `http://${setting("FEATURE_ADDRESS")}`;

/** Tokens, named by the rights of their holders. All except `system` belong to the instance `demo`. */
export const tokens = {
  system: setting("FEATURE_TOKEN_SYSTEM"),
  instance: setting("FEATURE_TOKEN_INSTANCE"),
  viewer: setting("FEATURE_TOKEN_VIEWER"),
};

/** The descriptors of this repository's protos and of the error details, in one set. */
export const descriptorSet = Buffer.concat([build("../../../proto"), build("../proto")]);

export const contract = new Contract(descriptorSet);

/** Fails unless the call fails with the expected error. Compares only the fields of `expected`. */
export async function refused(what, call, expected) {
  const answer = await call.then(
    (response) => assert.fail(`${what}: answered OK: ${show(response)}`),
    (error) => contract.summary(error),
  );
  for (const [field, value] of Object.entries({ domain: "zitadel.feature.v2", ...expected })) {
    assert.deepEqual(answer[field], value, `${what}: ${field} of the error ${show(answer)}`);
  }
  assert.ok(answer.requestId, `${what}: the error has no RequestInfo: ${show(answer)}`);
}

/** Fails unless `actual` has every field of `expected` with its value; `undefined` means that it must be absent. */
export function has(what, actual, expected) {
  for (const [field, value] of Object.entries(expected)) {
    assert.deepEqual(plain(actual?.[field]), value, `${what}: ${field} of ${show(actual)}`);
  }
}

/** Messages without their type name, for comparison with literals. */
function plain(value) {
  if (Array.isArray(value)) {
    return value.map(plain);
  }
  if (value === null || typeof value !== "object") {
    return value;
  }
  const fields = Object.entries(value).filter(([name]) => !name.startsWith("$"));
  return Object.fromEntries(fields.map(([name, field]) => [name, plain(field)]));
}

function show(value) {
  return JSON.stringify(value, (_, field) => (typeof field === "bigint" ? `${field}` : field));
}

function build(folder) {
  const path = (relative) => fileURLToPath(new URL(relative, import.meta.url));
  return execFileSync(path("node_modules/.bin/buf"), ["build", path(folder), "-o", "-#format=binpb"]);
}
