import assert from "node:assert/strict";
import { test } from "node:test";

import { EventParser, MAX_EVENT_CHARS } from "../../viewer_web/core/sse.js";

const STREAM =
  ": hello\n\nevent: active\ndata: {}\n\nid: 7\nevent: viewercount\ndata: {\"viewercount\":3}\n\n" +
  "data: two\ndata: lines\n\n";
const WANTED = [
  { name: "active", data: {}, id: null },
  { name: "viewercount", data: { viewercount: 3 }, id: "7" },
  { name: "message", data: "two\nlines", id: "7" },
];

test("events, comments, ids and data of several lines", () => {
  assert.deepEqual(new EventParser().feed(STREAM), WANTED);
});

test("any cut of the text and any line ending gives the same events", () => {
  for (const ending of ["\n", "\r\n", "\r"]) {
    const text = STREAM.replaceAll("\n", ending) + ":";
    for (const size of [1, 2, 3, 7, 1000]) {
      const parser = new EventParser();
      const events = [];
      for (let at = 0; at < text.length; at += size) {
        events.push(...parser.feed(text.slice(at, at + size)));
      }
      assert.deepEqual(events, WANTED, JSON.stringify([ending, size]));
    }
  }
});

test("an event without data is none; retry is kept", () => {
  const parser = new EventParser();
  assert.deepEqual(parser.feed("event: inactive\n\nretry: 1500\n\n"), []);
  assert.equal(parser.retryMs, 1500);
});

test("an endless line and an endless event are refused", () => {
  assert.throws(() => new EventParser().feed("x".repeat(MAX_EVENT_CHARS + 1)), RangeError);
  const parser = new EventParser();
  const line = `data: ${"x".repeat(MAX_EVENT_CHARS / 2)}\n`;
  parser.feed(line);
  parser.feed(line);
  assert.throws(() => parser.feed("data: x\n"), RangeError);
});
