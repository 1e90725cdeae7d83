// A Forward server: prints {"port": N}, then one JSON line for each entry it takes. Ends with its standard input.
"use strict";

const { FluentServer } = require("@fluent-org/logger");

const server = new FluentServer({ listenOptions: { port: 0, host: "127.0.0.1" } });
server.on("entry", (tag, time, record) => {
  const nanoseconds = typeof time === "number" ? null : time.nano;
  const seconds = typeof time === "number" ? time : time.epoch;
  process.stdout.write(JSON.stringify({ tag, seconds, nanoseconds, record }) + "\n");
});
server.listen().then(() => process.stdout.write(JSON.stringify({ port: server.port }) + "\n"));
process.stdin.on("end", () => process.exit(0));
process.stdin.resume();
