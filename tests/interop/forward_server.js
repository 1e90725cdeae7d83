// A server made with @fluent-org/logger: node forward_server.js '{"security": ..., "listenOptions": ..., "tls": ...}'
//
// Prints {"port": N}, then one JSON line for each entry it takes. Ends with its standard input. "tls" is what
// tls.createServer takes, with files in place of what they hold.
"use strict";

const fs = require("fs");
const { FluentServer } = require("@fluent-org/logger");

const { tls, ...options } = JSON.parse(process.argv[2]);
if (tls) {
  options.tlsOptions = { ...tls };
  for (const name of ["ca", "cert", "key"]) options.tlsOptions[name] = fs.readFileSync(tls[name]);
}
const server = new FluentServer({ listenOptions: { port: 0, host: "127.0.0.1" }, ...options });
server.on("entry", (tag, time, record) => {
  const nanoseconds = typeof time === "number" ? null : time.nano;
  const seconds = typeof time === "number" ? time : time.epoch;
  process.stdout.write(JSON.stringify({ tag, seconds, nanoseconds, record }) + "\n");
});
server.listen().then(() => process.stdout.write(JSON.stringify({ port: server.port }) + "\n"));
process.stdin.on("end", () => process.exit(0));
process.stdin.resume();
