import assert from "node:assert/strict";
import { test } from "node:test";
import { answer } from "./answer.js";

const files = new Map([
  ["index.html", Buffer.from("<html></html>")],
  ["app.js", Buffer.from("1")],
]);
const configuration = { api: "https://api.example.com", version: "v2" };
const ask = (url, method = "GET") => answer({ method, url }, files, configuration);

test("health tells the version", () => {
  const { status, body } = ask("/health");
  assert.equal(status, 200);
  assert.deepEqual(JSON.parse(body), { status: "healthy", version: "v2" });
});

test("the page is served at the root, with its type", () => {
  const { status, headers, body } = ask("/?query=1");
  assert.equal(status, 200);
  assert.equal(headers["Content-Type"], "text/html; charset=utf-8");
  assert.equal(body.toString(), "<html></html>");
});

for (const url of ["/", "/health", "/config.json", "/nothing"]) {
  test(`${url} tells the release that answers`, () => assert.equal(ask(url).headers["X-Release-Version"], "v2"));
}

test("the page learns where the backend is, and may call nothing else", () => {
  assert.deepEqual(JSON.parse(ask("/config.json").body), configuration);
  assert.equal(
    ask("/").headers["Content-Security-Policy"],
    "default-src 'self'; connect-src 'self' https://api.example.com",
  );
});

for (const url of ["/nothing", "/../package.json", "/%2e%2e/package.json", "/dist/app.js"]) {
  test(`${url} is not found`, () => assert.equal(ask(url).status, 404));
}

test("what would change something is refused", () => {
  const { status, headers } = ask("/", "POST");
  assert.equal(status, 405);
  assert.equal(headers.Allow, "GET, HEAD");
});
