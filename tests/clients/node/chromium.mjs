// Shared by the scripts that run a page: starts headless Chromium, and serves the page from an origin of its own.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { fileURLToPath } from "node:url";

import { build } from "esbuild";
import { chromium } from "playwright-core";

import { baseUrl, descriptorSet, setting, tokens } from "./shared.mjs";

/** Hosts of the page's origin: one that CORS allows, and one that it refuses. */
export const OWN_HOST = "127.0.0.1";
export const OTHER_HOST = "evil.example";

export class Browser {
  #site;
  #chromium;

  /** Starts the browser and a site with the bundled page. */
  static async launch(page) {
    const browser = new Browser();
    browser.#site = await serveSite(page);
    browser.#chromium = await chromium.launch({
      executablePath: setting("CHROMIUM"),
      args: [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        `--host-resolver-rules=MAP ${OTHER_HOST} 127.0.0.1`,
      ],
    });
    return browser;
  }

  /** Opens the page under a host name. Returns its functions, and in `traffic` what Chromium sent and CORS blocked. */
  async open(host, protocol) {
    const context = await this.#chromium.newContext();
    const page = await context.newPage();
    const traffic = await watch(page, await context.newCDPSession(page));
    await page.goto(`http://${host}:${this.#site.address().port}/`);
    await page.evaluate((settings) => window.prepare(...settings), [protocol, baseUrl, tokens.instance]);
    const call = (method, request) => page.evaluate(([name, body]) => window.call(name, body), [method, request]);
    const firstOfWatch = () => page.evaluate(() => window.firstOfWatch());
    const deltaOfWatch = (...about) => page.evaluate((about) => window.deltaOfWatch(...about), about);
    return { call, firstOfWatch, deltaOfWatch, traffic };
  }

  async close() {
    await this.#chromium.close();
    this.#site.close();
  }
}

/** The answer to a page's call. Fails if the call failed. */
export async function answered(call) {
  const { response, error } = await call;
  assert.equal(error, undefined, `the page's call failed: ${JSON.stringify(error)}`);
  return response;
}

/** Waits for a promise with a timeout: Chromium may report on a call after the call has ended. */
export async function soon(what, promise) {
  const limit = AbortSignal.timeout(10_000);
  const late = new Promise((_, reject) => limit.addEventListener("abort", () => reject(new Error(`waited for ${what}`))));
  return Promise.race([promise, late]);
}

/**
 * Promises of the status of the first CORS preflight, and of the first request that CORS blocks; and `last`, which
 * returns the form of the latest request to the server, such as `POST application/json` or `GET encoding=json`.
 */
async function watch(page, session) {
  const first = (event, find) =>
    new Promise((resolve) => session.on(event, (parameters) => find(parameters) && resolve(find(parameters))));
  const preflight = first("Network.responseReceived", ({ type, response }) => type === "Preflight" && response.status);
  const blocked = first("Network.loadingFailed", ({ corsErrorStatus }) => corsErrorStatus?.corsError);
  await session.send("Network.enable");
  let sent;
  page.on("request", (request) => (sent = request.url().startsWith(baseUrl) ? request : sent));
  const last = () => {
    const encoding = new URL(sent.url()).searchParams.get("encoding");
    return sent.method() === "GET" ? `GET encoding=${encoding}` : `POST ${sent.headers()["content-type"]}`;
  };
  return { preflight, blocked, last };
}

/** Serves the page on its own port. */
async function serveSite(page) {
  const path = fileURLToPath(new URL(page, import.meta.url));
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
