/** HTTP refusals as pages see them: what class of refusal it is, when to return, what to say. */

/**
 * @typedef {"nobody_on_air"|"denied"|"missing"|"rejected"|"busy"|"server"|"unreachable"} Reason
 */

const REASONS = { 401: "denied", 403: "denied", 404: "missing", 409: "nobody_on_air" };
/** Reasons that no retry mends: the person must do something. */
const FINAL = new Set(["denied", "missing", "rejected"]);

export class HttpProblem extends Error {
  /**
   * @param {number} status 0 when the server could not be reached
   * @param {string} detail the server's own sentence, may be empty
   * @param {number|null} retryAfterS
   */
  constructor(status, detail, retryAfterS = null) {
    super(detail || `HTTP ${status}`);
    this.name = "HttpProblem";
    this.status = status;
    this.detail = detail;
    this.retryAfterS = retryAfterS;
  }

  /** @returns {Reason} */
  get reason() {
    return reasonOf(this.status);
  }

  get final() {
    return FINAL.has(this.reason);
  }

  /** Key of the sentence in i18n. */
  get sentenceKey() {
    return `refused.${this.reason}`;
  }
}

/** @returns {Reason} */
export function reasonOf(status) {
  if (status === 0) return "unreachable";
  if (status === 429 || status === 503) return "busy";
  if (status >= 500 || status === 408) return "server";
  return REASONS[status] ?? "rejected";
}

/** Seconds of a Retry-After value, a number or a date (RFC 9110 section 10.2.3), or null. */
export function retryAfterS(value, nowEpochMs) {
  if (value === null || value === undefined || value.trim() === "") return null;
  const seconds = Number(value);
  if (Number.isFinite(seconds)) return Math.max(0, seconds);
  const dateMs = Date.parse(value);
  return Number.isNaN(dateMs) ? null : Math.max(0, (dateMs - nowEpochMs) / 1000);
}

/** The sentence in an RFC 9457 body, or a short plain text, or "". */
export function detailOf(contentType, body) {
  const text = (body ?? "").trim();
  if (/json/i.test(contentType ?? "") || text.startsWith("{")) {
    try {
      const problem = JSON.parse(text);
      return String(problem?.detail ?? problem?.title ?? "").slice(0, 300);
    } catch {
      // A broken problem body says nothing; the status still does.
      return "";
    }
  }
  return text.includes("<") ? "" : text.slice(0, 300);
}
