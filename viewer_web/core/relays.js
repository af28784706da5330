/** Relays as the operator's page shows them: order, tone, and what may be done. */

const TONES = { ready: "good", joining: "fair", silent: "fair", draining: "fair", lost: "lost" };

/** @param {object} relay a row of the overview's `relays` */
export function relayRow(relay) {
  return {
    ...relay,
    tone: TONES[relay.state] ?? "unknown",
    share: relay.capacity > 0 ? relay.viewers / relay.capacity : 0,
    canDrain: relay.role === "relay" && ["ready", "silent"].includes(relay.state),
    canResume: relay.state === "draining",
    canMove: relay.role === "relay" && relay.viewers > 0 && relay.state !== "lost",
  };
}

const RANK = { lost: 0, silent: 1, draining: 2, joining: 3, ready: 4 };

/** Trouble first, then by id. */
export function relayRows(relays) {
  return (relays ?? [])
    .map(relayRow)
    .sort((a, b) => (RANK[a.state] ?? 5) - (RANK[b.state] ?? 5) || a.id.localeCompare(b.id));
}
