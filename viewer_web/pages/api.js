/** The hub's JSON API as pages call it; refusals are HttpProblem. */

import { problemOf, request } from "../rtc/http_session.js";

const bearer = (token) => (token ? { Authorization: `Bearer ${token}` } : {});

/** GET (or another method with a JSON body) → parsed JSON, null for an empty answer. */
export async function fetchJson(env, path, token, { method = "GET", body, ...init } = {}) {
  const response = await request(env.fetch, path, {
    method,
    ...init,
    headers: {
      Accept: "application/json",
      ...(body === undefined ? {} : { "Content-Type": "application/json" }),
      ...bearer(token),
    },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  if (!response.ok) throw await problemOf(response);
  const text = await response.text();
  return text ? JSON.parse(text) : null;
}

/** `open` of followEvents for an authorised event stream that can be resumed. */
export function eventSource(env, path, token, signal) {
  return (lastId) =>
    request(env.fetch, path, {
      timeoutMs: null,
      signal,
      headers: {
        Accept: "text/event-stream",
        ...bearer(token),
        ...(lastId === null ? {} : { "Last-Event-ID": lastId }),
      },
    });
}
