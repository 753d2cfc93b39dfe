/**
 * What the server answers to a request, free of sockets: the built files, the page's configuration, its health.
 */

const TYPES = {
  css: "text/css; charset=utf-8",
  html: "text/html; charset=utf-8",
  js: "text/javascript; charset=utf-8",
};

/** The headers of requirement C5b; the pages may call themselves and the backend, and nothing else. */
export function securityHeaders(api) {
  return {
    "Content-Security-Policy": `default-src 'self'; connect-src 'self' ${api}`.trim(),
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "strict-origin-when-cross-origin",
    "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
  };
}

/**
 * @param {{method: string, url: string}} request
 * @param {Map<string, Buffer>} files the built files by name
 * @param {{api: string, version: string}} configuration
 * @returns {{status: number, headers: Record<string, string>, body: string | Buffer}}
 */
export function answer(request, files, configuration) {
  // By this header a deployment tells which release has answered.
  const headers = { ...securityHeaders(configuration.api), "X-Release-Version": configuration.version };
  if (!["GET", "HEAD"].includes(request.method)) {
    return { status: 405, headers: { ...headers, Allow: "GET, HEAD" }, body: "" };
  }
  const path = request.url.split("?", 1)[0];
  if (path === "/health") return json(headers, { status: "healthy", version: configuration.version });
  if (path === "/config.json") return json(headers, configuration);
  const name = path === "/" ? "index.html" : path.slice(1);
  // Only what was built is in here, so that no path leads out of it.
  const body = files.get(name);
  if (body === undefined) return { status: 404, headers, body: "" };
  return { status: 200, headers: { ...headers, "Content-Type": TYPES[name.split(".").pop()] }, body };
}

function json(headers, value) {
  return {
    status: 200,
    headers: { ...headers, "Cache-Control": "no-store", "Content-Type": "application/json" },
    body: JSON.stringify(value),
  };
}
