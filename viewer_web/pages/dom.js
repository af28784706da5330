/** The little DOM that all pages share. */

export const byId = (id) => document.getElementById(id);

/** New element: attributes by name, `text`, then children. */
export function element(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "text") node.textContent = value;
    else if (key === "onclick") node.addEventListener("click", value);
    else if (value === true) node.setAttribute(key, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(key, value);
  }
  node.append(...children);
  return node;
}

/** Fill a <dl> with [label, value] rows, reusing what is there: no flicker, no lost selection. */
export function fillFigures(list, rows) {
  while (list.children.length > rows.length) list.lastElementChild.remove();
  rows.forEach(([label, value], index) => {
    const row = list.children[index] ?? list.appendChild(element("div", {}, element("dt"), element("dd")));
    setText(row.firstElementChild, label);
    setText(row.lastElementChild, value);
  });
}

/** Only touches the page when the text is another: screen readers repeat what is set again. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

const METER_FALL = 0.88;

/** fraction 0 … 1 on a .meter, which rises at once and falls slowly, as people know it. */
export function setMeter(meter, fraction) {
  const shown = Number(meter.getAttribute("aria-valuenow")) / 100;
  const value = Math.min(1, Math.max(0, fraction, shown * METER_FALL - 0.005));
  meter.firstElementChild.style.transform = `scaleX(${value.toFixed(3)})`;
  meter.setAttribute("aria-valuenow", String(Math.round(value * 100)));
}

/** Fill a list of linter findings in the person's language. */
export function fillFindings(list, findings, translator, emptyKey) {
  const items = findings.map((finding) => ({
    severity: finding.severity ?? "warning",
    text: finding[translator.lang] ?? finding.sentence ?? finding.vi ?? finding.code ?? "",
  }));
  if (items.length === 0) items.push({ severity: "none", text: translator.t(emptyKey) });
  const same =
    list.children.length === items.length &&
    items.every((item, index) => list.children[index].textContent === item.text);
  if (same) return;
  list.replaceChildren(
    ...items.map((item) => element("li", { "data-severity": item.severity, text: item.text })),
  );
}

/** Keeps the screen awake while the page is visible, where the browser can. */
export class WakeLock {
  #wanted = false;
  #lock = null;

  async hold() {
    this.#wanted = true;
    if (this.#lock !== null || !navigator.wakeLock || document.hidden) return;
    try {
      this.#lock = await navigator.wakeLock.request("screen");
      this.#lock.addEventListener("release", () => {
        this.#lock = null;
      });
    } catch (error) {
      // Battery saving or policy forbids it; asked again when the page becomes visible.
      if (error.name !== "NotAllowedError") throw error;
    }
  }

  /** Call when the page becomes visible: browsers drop the lock of a hidden page. */
  async renew() {
    if (this.#wanted) await this.hold();
  }
}

/** Copy to the clipboard; false where the browser forbids it (plain http). */
export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // No clipboard on plain http: the caller shows the text instead.
    return false;
  }
}
