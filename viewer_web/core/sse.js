/** Incremental parser of text/event-stream (HTML standard, section 9.2.6), fed by fetch. */

/** Longest event kept; a server that sends more is not one of ours. */
export const MAX_EVENT_CHARS = 1024 * 1024;

/** @typedef {{name: string, data: unknown, id: string|null}} ServerEvent */

export class EventParser {
  #rest = "";
  #name = "";
  #data = [];
  #size = 0;
  #id = null;
  /** Milliseconds that the server asks to wait before a new request, or null. */
  retryMs = null;

  /**
   * Events completed by `text`. Throws RangeError on an event beyond MAX_EVENT_CHARS.
   * @returns {ServerEvent[]}
   */
  feed(text) {
    let body = this.#rest + text;
    // A CR at the end may be half of CRLF: it waits for the next piece.
    const held = body.endsWith("\r") ? "\r" : "";
    body = body.slice(0, body.length - held.length).replace(/\r\n?/g, "\n");
    const lines = body.split("\n");
    this.#rest = lines.pop() + held;
    if (this.#rest.length > MAX_EVENT_CHARS) throw new RangeError("event line is too long");
    const events = [];
    for (const line of lines) {
      const event = this.#line(line);
      if (event) events.push(event);
    }
    return events;
  }

  #line(line) {
    if (line === "") return this.#dispatch();
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "event") this.#name = value;
    else if (field === "id" && !value.includes("\0")) this.#id = value;
    else if (field === "retry" && /^\d+$/.test(value)) this.retryMs = Number(value);
    else if (field === "data") this.#add(value);
    return null;
  }

  #add(value) {
    this.#size += value.length;
    if (this.#size > MAX_EVENT_CHARS) throw new RangeError("event is too long");
    this.#data.push(value);
  }

  #dispatch() {
    const text = this.#data.join("\n");
    const had = this.#data.length > 0;
    const name = this.#name || "message";
    this.#name = "";
    this.#data = [];
    this.#size = 0;
    return had ? { name, data: parsed(text), id: this.#id } : null;
  }
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    // Not JSON: the text itself is the data.
    return text;
  }
}
