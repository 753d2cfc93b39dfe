/** The container's health check: 0 when the server of this container says that it is well. */

try {
  const answer = await fetch(`http://${process.env.HOST ?? "127.0.0.1"}:${process.env.PORT ?? 8080}/health`);
  process.exitCode = answer.ok ? 0 : 1;
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
