// The published Zitadel client over gRPC or gRPC-Web, on the levels of system and instance, which its types support.
// Its messages have no features on the levels of organization and user; there it uses this repository's messages.
// Run as `node zitadel.mjs grpc` or `node zitadel.mjs grpc-web`.

import assert from "node:assert/strict";

import { createServerTransport } from "@zitadel/client/node";
import { createFeatureServiceClient } from "@zitadel/client/v2";
import { createClientTransport } from "@zitadel/client/web";
import { ImprovedPerformance, Source } from "@zitadel/proto/zitadel/feature/v2/feature_pb.js";

import { baseUrl, contract, has, refused, tokens } from "./shared.mjs";

const transports = { grpc: createServerTransport, "grpc-web": createClientTransport };
const createTransport = transports[process.argv[2]];
assert.ok(createTransport, `name the protocol: ${Object.keys(transports).join(" or ")}`);

const transport = (token) => createTransport(token, { baseUrl });
const system = createFeatureServiceClient(transport(tokens.system));
const instance = createFeatureServiceClient(transport(tokens.instance));
const viewer = createFeatureServiceClient(transport(tokens.viewer));
const stranger = createFeatureServiceClient(transport("not-a-token"));

const from = (source, enabled) => ({ enabled, source });
const loginV2 = { required: true, baseUri: "https://login.example.com/" };

await nothingIsSet();
await systemIsInherited();
await instanceOverrides();
await resetsGoBack();
await refusals();
await organizationsAndUsers();

async function nothingIsSet() {
  const answer = await viewer.getSystemFeatures({});
  has("system, nothing set", answer, { loginDefaultOrg: from(Source.UNSPECIFIED, false) });
  has("system, nothing set", answer.details, { sequence: 0n, changeDate: undefined });
  has("instance, nothing set, inherited", await viewer.getInstanceFeatures({ inheritance: true }), {
    consoleUseV2UserApi: from(Source.UNSPECIFIED, false),
    improvedPerformance: { executionPaths: [], source: Source.UNSPECIFIED },
  });
  const own = viewer.getInstanceFeatures({ inheritance: false });
  await refused("instance, nothing set", own, { code: "NotFound", reason: "NO_FEATURES_SET" });
}

async function systemIsInherited() {
  const improvedPerformance = [ImprovedPerformance.ORG_BY_ID, ImprovedPerformance.USER_GRANT];
  const set = await system.setSystemFeatures({ loginDefaultOrg: true, improvedPerformance, loginV2 });
  has("three features set at once", set.details, { sequence: 3n, resourceOwner: "SYSTEM" });
  assert.ok(set.details.changeDate, "a write has a change date");
  has("instance, inherited", await viewer.getInstanceFeatures({ inheritance: true }), {
    loginDefaultOrg: from(Source.SYSTEM, true),
    improvedPerformance: { executionPaths: improvedPerformance, source: Source.SYSTEM },
    loginV2: { ...loginV2, source: Source.SYSTEM },
    debugOidcParentError: from(Source.UNSPECIFIED, false),
  });
}

async function instanceOverrides() {
  const request = { loginDefaultOrg: false, consoleUseV2UserApi: true };
  const first = await instance.setInstanceFeatures(request);
  has("two features set", first.details, { sequence: 2n, resourceOwner: "demo" });
  const again = await instance.setInstanceFeatures(request);
  has("the same again", again.details, { sequence: 2n, changeDate: plainDate(first.details.changeDate) });
  has("instance, inherited", await viewer.getInstanceFeatures({ inheritance: true }), {
    loginDefaultOrg: from(Source.INSTANCE, false),
    consoleUseV2UserApi: from(Source.INSTANCE, true),
    loginV2: { ...loginV2, source: Source.SYSTEM },
  });
  has("instance, own", await viewer.getInstanceFeatures({}), {
    loginDefaultOrg: from(Source.INSTANCE, false),
    loginV2: undefined,
    improvedPerformance: undefined,
  });
}

async function resetsGoBack() {
  has("instance reset", (await instance.resetInstanceFeatures({})).details, { sequence: 3n });
  has("nothing left to reset", (await instance.resetInstanceFeatures({})).details, { sequence: 3n });
  has("instance, inherited again", await viewer.getInstanceFeatures({ inheritance: true }), {
    loginDefaultOrg: from(Source.SYSTEM, true),
  });
  has("the count goes on", (await instance.setInstanceFeatures({ userSchema: true })).details, { sequence: 4n });
  has("system reset", (await system.resetSystemFeatures({})).details, { sequence: 4n });
  has("system, after reset", await viewer.getSystemFeatures({}), { loginDefaultOrg: from(Source.UNSPECIFIED, false) });
}

async function refusals() {
  const bad = (fields) => ({ code: "InvalidArgument", reason: "FIELD_INVALID", fields });
  const rows = [
    // name, call, error
    ["no valid token", () => stranger.getSystemFeatures({}), { code: "Unauthenticated", reason: "TOKEN_INVALID" }],
    ["no permission", () => viewer.setInstanceFeatures({ userSchema: true }),
      { code: "PermissionDenied", reason: "PERMISSION_MISSING", metadata: { permission: "iam.feature.write" } }],
    ["no change", () => instance.setInstanceFeatures({}), { code: "InvalidArgument", reason: "NO_CHANGES" }],
    ["not a web address", () => instance.setInstanceFeatures({ loginV2: { baseUri: "ftp://example.com" } }),
      bad(["login_v2.base_uri"])],
    ["an unspecified path", () => instance.setInstanceFeatures({ improvedPerformance: [1, 0] }),
      bad(["improved_performance[1]"])],
    ["a path twice", () => instance.setInstanceFeatures({ improvedPerformance: [1, 2, 1] }),
      bad(["improved_performance[2]"])],
  ];
  for (const [what, call, expected] of rows) {
    await refused(what, call(), expected);
  }
  has("nothing was written", (await viewer.getInstanceFeatures({})).details, { sequence: 4n });
}

async function organizationsAndUsers() {
  const call = contract.caller(transport(tokens.instance), { "x-zitadel-orgid": "acme" });
  const user = async () => (await call("getUserFeatures", { userId: "ada", inheritance: true })).loginDefaultOrg;
  const organization = await call("setOrganizationFeatures", { organizationId: "acme", loginDefaultOrg: true });
  has("organization set", organization.details, { sequence: "1", resourceOwner: "demo" });
  has("user, inherited", await user(), { enabled: true, source: "SOURCE_ORGANIZATION" });

  const set = await call("setUserFeatures", { userId: "ada", loginDefaultOrg: false });
  has("user set", set.details, { sequence: "1", resourceOwner: "acme" });
  has("user, own", await user(), { enabled: undefined, source: "SOURCE_USER" });

  const stale = call("setUserFeatures", { userId: "ada", actions: true, expectedSequence: "7" });
  await refused("a stale sequence", stale, { code: "Aborted", reason: "SEQUENCE_MISMATCH" });
  const trial = await call("setUserFeatures", { userId: "ada", actions: true, validateOnly: true });
  has("only validated", trial.details, { sequence: "1" });

  const unset = await call("setUserFeatures", { userId: "ada", updateMask: "loginDefaultOrg", expectedSequence: "1" });
  has("user unset", unset.details, { sequence: "2" });
  has("user, inherited again", await user(), { enabled: true, source: "SOURCE_ORGANIZATION" });
  const mask = call("setUserFeatures", { userId: "ada", updateMask: "noSuchFeature" });
  await refused("an unknown path", mask, { code: "InvalidArgument", reason: "FIELD_INVALID" });

  has("organization reset", (await call("resetOrganizationFeatures", { organizationId: "acme" })).details, {
    sequence: "2",
  });
  has("user, default", await user(), { enabled: undefined, source: undefined });
  has("user reset", (await call("resetUserFeatures", { userId: "ada" })).details, { sequence: "2" });
  const own = call("getUserFeatures", { userId: "ada" });
  await refused("user, nothing set", own, { code: "NotFound", reason: "NO_FEATURES_SET" });
}

function plainDate({ seconds, nanos }) {
  return { seconds, nanos };
}
