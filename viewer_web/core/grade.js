/**
 * Words and order of a commune's grade. The hub computes the grade; pages only show it, always by
 * a word and a sign beside the colour.
 */

/** Worst first: the order in which an operator wants to see them. */
export const GRADES = Object.freeze(["lost", "bad", "fair", "good", "offline", "unknown"]);

const SIGNS = { lost: "✕", bad: "!", fair: "△", good: "●", offline: "○", unknown: "?" };
const ALIASES = {
  excellent: "good",
  ok: "good",
  weak: "fair",
  poor: "bad",
  frozen: "bad",
  absent: "offline",
  not_connected: "offline",
  disconnected: "offline",
  off: "offline",
  none: "offline",
  dead: "lost",
};

/** Known grade name for whatever the hub says. */
export function gradeOf(commune) {
  const said = String(commune.grade ?? "").toLowerCase();
  if (GRADES.includes(said)) return said;
  if (ALIASES[said]) return ALIASES[said];
  return commune.connected ? "unknown" : "offline";
}

export const gradeSign = (grade) => SIGNS[grade] ?? SIGNS.unknown;
export const gradeRank = (grade) => GRADES.indexOf(grade);
