// The page of events.mjs.

import { EventSource } from "eventsource";

/** The same response with its first chunk alone. */
function cut(response) {
  const body = new ReadableStream({
    async start(controller) {
      const reader = response.body.getReader();
      controller.enqueue((await reader.read()).value);
      await reader.cancel();
      controller.close();
    },
  });
  return new Response(body, { status: response.status, headers: response.headers });
}

window.prepare = async (_, baseUrl, token) => {
  const authorization = { authorization: `Bearer ${token}` };
  const asked = (init) => new Headers(init.headers).get("last-event-id") ?? "";

  /** Calls `found` with each event until it returns something. */
  const watch = (path, found, cuts = 0) =>
    new Promise((resolve, reject) => {
      const ids = [];
      const source = new EventSource(baseUrl + path, {
        fetch: async (url, init) => {
          ids.push(asked(init));
          const response = await fetch(url, { ...init, headers: { ...init.headers, ...authorization } });
          return ids.length > cuts ? response : cut(response);
        },
      });
      source.onmessage = ({ data }) => {
        const result = found(JSON.parse(data), ids);
        if (result) {
          source.close();
          resolve(result);
        }
      };
      source.addEventListener("error", ({ code, message }) => code && reject(new Error(`${code}: ${message}`)));
    });

  const methods = {
    async twoOfWatch(path) {
      const events = [];
      return watch(
        path,
        (event, ids) => events.push(event) === 2 && { first: events[0], second: events[1], ids },
        1,
      );
    },
    async watchAndSet({ query, set: { path, body } }) {
      let begun;
      const hasBegun = new Promise((resolve) => (begun = resolve));
      const delta = watch(`/v1/settings:watch?${query}`, (event) => (event.delta ? event : begun()));
      const changes = watch("/v1/instances/current/changes:watch", (event) => event.changes && event);
      await hasBegun;
      const headers = { ...authorization, "content-type": "application/json" };
      const set = await fetch(baseUrl + path, { method: "PATCH", headers, body: JSON.stringify(body) });
      if (!set.ok) {
        throw new Error(await set.text());
      }
      return { delta: await delta, changes: await changes };
    },
  };
  window.call = (method, request) =>
    methods[method](request).then(
      (response) => ({ response }),
      (error) => ({ error: String(error) }),
    );
};
