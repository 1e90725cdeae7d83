// A client made with @fluent-org/logger: node forward_client.js '{"tag": ..., "options": ..., "tls": ...}' < events.ndjson
//
// Sends each event and waits for its ack; prints {"acked": N, "faults": [...]}. "tls" names files, as tls.connect has
// them; events that the server refuses are told of as they fail, and end it.
"use strict";

const fs = require("fs");
const { FluentClient, EventTime } = require("@fluent-org/logger");

const { tag, options, tls } = JSON.parse(process.argv[2]);
const files = Object.fromEntries(Object.entries(tls || {}).map(([name, path]) => [name, fs.readFileSync(path)]));
const socket = { timeout: 20000, ...options.socket, ...(tls ? { tls: files } : {}) };
const client = new FluentClient(tag, {
  ack: { ackTimeout: 20000 },
  sendQueueSyncFlushLimit: { length: 50 },
  ...options,
  socket,
});

function end(acked, faults) {
  fs.writeSync(1, JSON.stringify({ acked, faults }) + "\n");
  process.exit(0);
}

let acked = 0;
client.socketOn("error", (error) => end(acked, [String(error)]));
const events = fs.readFileSync(0, "utf8").split("\n").filter(Boolean).map((line) => JSON.parse(line));
const sends = events.map((event) => client.emit(event, new EventTime(1700000000, 123456789)).then(() => acked++));

Promise.allSettled(sends).then((results) => {
  end(acked, results.filter((result) => result.status === "rejected").map((result) => String(result.reason)));
});
