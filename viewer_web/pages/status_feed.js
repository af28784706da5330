/** The studio's status as it changes: events of GET /api/studio/events, resumed by themselves. */

import { followEvents } from "../rtc/event_stream.js";
import { eventSource } from "./api.js";

/** Runs as long as the page; returns the HttpProblem that ended it for good. */
export function followStatus(env, token, onStatus) {
  const { signal } = new AbortController();
  return followEvents({
    open: eventSource(env, "/api/studio/events", token, signal),
    onEvent: (event) => event.name === "status" && onStatus(event.data),
    signal,
    wait: env.wait,
    random: env.random,
  });
}
