/** What the operator reads of one screen's line: keys of words, out of a session of the overview. */

const STATES = new Set(["full", "reduced", "audio-only"]);
const PATHS = new Set(["udp", "tcp", "relay"]);
/** Less than the whole picture, and no fault of the line. */
const OTHER_REASONS = new Set(["size", "pin"]);

/** Key of the line's state, or null while nothing is known. */
export function lineKey({ line_state: state, line_reason: reason }) {
  if (!STATES.has(state)) return null;
  return `operator.line.${state === "full" && OTHER_REASONS.has(reason) ? reason : state}`;
}

/** Key of the path; the browser alone knows that it came through TURN. */
export function pathKey({ transport, page_transport: page }) {
  const path = page === "relay" ? page : (transport ?? page);
  return PATHS.has(path) ? `figure.path.${path}` : null;
}

/** Key of the layer's name, its own name where we have no word for it, or null. */
export function layerKey({ layer }) {
  if (!layer) return null;
  return ["h", "m", "l"].includes(layer) ? `studio.layer.${layer}` : layer;
}

/** The layer that an operator chose for these screens, "" for none. */
export const pinOf = (sessions) =>
  sessions.find((one) => one.line_reason === "pin")?.layer ?? "";
