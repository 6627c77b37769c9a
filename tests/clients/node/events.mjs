// Server-sent events in headless Chromium, with the package eventsource: it is the browser's EventSource, but can send a
// token. The page cuts its first connection off, so that the client comes again by itself.

import assert from "node:assert/strict";

import { answered, Browser, OWN_HOST } from "./chromium.mjs";
import { has } from "./shared.mjs";

const browser = await Browser.launch("events-page.mjs");
try {
  const { call } = await browser.open(OWN_HOST, "events");
  const query = "names=instances/current/settings&features=actions&heartbeat=1s";
  const { first, second, ids } = await answered(call("twoOfWatch", `/v1/settings:watch?${query}`));
  has("the first event", first, { synced: true });
  has("its values", first.snapshot.scopes[0].values, { actions: { value: false, source: "VALUE_SOURCE_DEFAULT" } });
  has("the event after the cut", second, { synced: true, resumeToken: first.resumeToken });
  assert.ok(second.heartbeat, "nothing has changed, so nothing is sent again");
  assert.deepEqual(ids, ["", first.resumeToken], "the id of the last event is sent");
  const set = { path: "/v1/instances/current/settings", body: { set: { actions: true } } };
  const { delta, changes } = await answered(call("watchAndSet", { query, set }));
  const differing = { value: true, source: "VALUE_SOURCE_INSTANCE", revision: "1" };
  has("what differs", delta.delta.scopes[0].values, { actions: differing });
  has("the change", changes.changes.changes[0], { kind: "CHANGE_KIND_SET", resource: "instances/demo/settings" });
} finally {
  await browser.close();
}
