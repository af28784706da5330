/**
 * Signs and order of a commune's grade. The hub computes the grade (hub/state/quality.py); pages
 * only show it, always by a word and a sign beside the colour.
 */

/** Worst first: the order in which an operator wants to see them. */
export const GRADES = Object.freeze(["lost", "bad", "fair", "good", "absent", "unknown"]);

const SIGNS = { lost: "✕", bad: "!", fair: "△", good: "●", absent: "○", unknown: "?" };

/** The hub's grade, or what can be said of a site without one. */
export function gradeOf(commune) {
  if (GRADES.includes(commune.grade)) return commune.grade;
  return commune.connected ? "unknown" : "absent";
}

export const gradeSign = (grade) => SIGNS[grade] ?? SIGNS.unknown;
export const gradeRank = (grade) => GRADES.indexOf(grade);
