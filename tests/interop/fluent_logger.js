// A client made with fluent-logger: node fluent_logger.js '{"tag": ..., "options": ..., "tls": ...}' < events.ndjson
//
// Sends each event and waits for its ack; prints {"acked": N, "faults": [...]}. "tls" names files, as tls.connect has
// them; a fault ends it.
"use strict";

const fs = require("fs");
const logger = require("fluent-logger");

const { tag, options, tls } = JSON.parse(process.argv[2]);
const files = Object.fromEntries(Object.entries(tls || {}).map(([name, path]) => [name, fs.readFileSync(path)]));
const sender = logger.createFluentSender(tag, {
  requireAckResponse: true,
  internalLogger: { info() {}, error() {} },
  ...(tls ? { tls: true, tlsOptions: files } : {}),
  ...options,
});

function end(acked, faults) {
  fs.writeSync(1, JSON.stringify({ acked, faults }) + "\n");
  process.exit(0);
}

let acked = 0;
sender.on("error", (error) => end(acked, [String(error)]));
const events = fs.readFileSync(0, "utf8").split("\n").filter(Boolean).map((line) => JSON.parse(line));
for (const event of events) {
  sender.emit(event, new logger.EventTime(1700000000, 123456789), (error) => {
    if (error) end(acked, [String(error)]);
    else if (++acked === events.length) end(acked, []);
  });
}
