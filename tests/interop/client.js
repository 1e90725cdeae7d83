// Sends events over Forward and waits for the ack of each batch: node client.js PORT MODE TAG < events.ndjson
// Prints one JSON line at the end: {"acked": N, "failed": N}.
"use strict";

const { FluentClient, EventTime } = require("@fluent-org/logger");
const [port, mode, tag] = process.argv.slice(2);

const client = new FluentClient(tag, {
  eventMode: mode,
  ack: { ackTimeout: 20000 },
  socket: { host: "127.0.0.1", port: Number(port), timeout: 20000 },
  sendQueueSyncFlushLimit: { length: 50 },
});

const events = require("fs").readFileSync(0, "utf8").split("\n").filter(Boolean).map((line) => JSON.parse(line));
const sends = events.map((event) => client.emit(event, new EventTime(1700000000, 123456789)));

Promise.allSettled(sends).then(async (results) => {
  const acked = results.filter((result) => result.status === "fulfilled").length;
  const faults = results.filter((result) => result.status === "rejected").map((result) => String(result.reason));
  process.stdout.write(JSON.stringify({ acked, failed: faults.length, faults: faults.slice(0, 3) }) + "\n");
  await client.shutdown();
  process.exit(0);
});
