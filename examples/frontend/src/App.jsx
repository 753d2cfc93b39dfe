import { useEffect, useState } from "react";

/** Where the backend is and which release this is, as the server of this page says. */
async function read(url) {
  const answer = await fetch(url);
  if (!answer.ok) throw new Error(`${url} answered ${answer.status}`);
  return answer.json();
}

export function App() {
  const [version, setVersion] = useState("…");
  const [backend, setBackend] = useState({ state: "asking", text: "asking" });

  useEffect(() => {
    let shown = true;
    (async () => {
      try {
        const configuration = await read("/config.json");
        if (shown) setVersion(configuration.version);
        const health = await read(`${configuration.api}/api/health`);
        if (shown) setBackend({ state: "ok", text: health.version ?? "healthy" });
      } catch (error) {
        if (shown) setBackend({ state: "failed", text: error.message });
      }
    })();
    return () => {
      shown = false;
    };
  }, []);

  return (
    <>
      <h1>Model evaluations</h1>
      <p>Pages: {version}</p>
      <p>
        Backend: <span className={backend.state}>{backend.text}</span>
      </p>
    </>
  );
}
