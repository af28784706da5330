/**
 * Server-sent events by fetch: EventSource cannot send the Authorization header. Reconnects by
 * itself with backoff and `Last-Event-ID`, and says when the stream is gone for good.
 */

import { Backoff } from "../core/backoff.js";
import { HttpProblem } from "../core/problem.js";
import { EventParser } from "../core/sse.js";
import { problemOf } from "./http_session.js";

/**
 * Read a stream until `signal` aborts. Returns the HttpProblem that ended it for good (404, 403 …).
 *
 * @param {object} options
 * @param {(lastId: string|null) => Promise<Response>} options.open sends the GET
 * @param {(event: import("../core/sse.js").ServerEvent) => void} options.onEvent
 * @param {(connected: boolean) => void} [options.onLink] the stream came up or broke
 * @param {AbortSignal} options.signal
 */
export async function followEvents({ open, onEvent, onLink = () => {}, signal, wait, random }) {
  const backoff = new Backoff({ random });
  let lastId = null;
  let up = false;
  const linked = (now) => {
    if (up !== now) onLink(now);
    up = now;
  };
  const remember = (event) => {
    if (event.id !== null) lastId = event.id;
    backoff.succeeded();
    onEvent(event);
  };
  while (!signal.aborted) {
    let retryAfterS = null;
    try {
      const response = await open(lastId);
      if (!response.ok) throw await problemOf(response);
      linked(true);
      await readEvents(response, remember);
    } catch (error) {
      if (signal.aborted) break;
      if (!(error instanceof HttpProblem)) throw error;
      if (error.final) return error;
      retryAfterS = error.retryAfterS;
    }
    if (signal.aborted) break;
    linked(false);
    await wait(backoff.failed(retryAfterS) * 1000);
  }
  return null;
}

async function readEvents(response, onEvent) {
  const parser = new EventParser();
  const decoder = new TextDecoder();
  const reader = response.body.getReader();
  for (;;) {
    // A body that breaks off is the network's doing: the caller opens a new stream.
    const { value, done } = await reader.read().catch(() => {
      throw new HttpProblem(0, "");
    });
    if (done) return;
    for (const event of parser.feed(decoder.decode(value, { stream: true }))) onEvent(event);
  }
}

/**
 * Subscribe to a WHEP session's events (events extension): POST the names, then GET the stream.
 * Ends when the session does. `onGone` is told when the server no longer knows it.
 */
export async function followSessionEvents(session, { names, onEvent, onLink, onGone, signal, env }) {
  if (!session.events) return;
  const wanted = session.events.events.length
    ? names.filter((name) => session.events.events.includes(name))
    : names;
  const backoff = new Backoff({ random: env.random });
  while (!signal.aborted) {
    try {
      const location = await subscribe(session, wanted, signal);
      const problem = await followEvents({
        open: () => session.send("GET", location, { ...eventHeaders, timeoutMs: null, signal }),
        onEvent,
        onLink,
        signal,
        wait: env.wait,
        random: env.random,
      });
      if (problem) onGone(problem);
      return;
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof HttpProblem)) throw error;
      // An event stream is an extra: a server that refuses it still plays.
      if (error.final) return;
      await env.wait(backoff.failed(error.retryAfterS) * 1000);
    }
  }
}

const eventHeaders = { headers: { Accept: "text/event-stream" } };

async function subscribe(session, names, signal) {
  const response = await session.send("POST", session.events.target, {
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(names),
    signal,
  });
  const location = response.headers.get("Location");
  if (response.status !== 201 || !location) throw await problemOf(response);
  await response.body?.cancel();
  return new URL(location, session.events.target).toString();
}
