/** Figures as people read them; Vietnamese writes the decimal comma. */

const DASH = "–";
const finite = (value) => typeof value === "number" && Number.isFinite(value);

function decimal(value, digits, lang) {
  const text = value.toFixed(digits);
  return lang === "en" ? text : text.replace(".", ",");
}

/** "2,5 Mbit/s", "640 kbit/s", "–". */
export function bitrate(bps, lang = "vi") {
  if (!finite(bps)) return DASH;
  if (bps >= 1e6) return `${decimal(bps / 1e6, 1, lang)} Mbit/s`;
  return `${Math.round(bps / 1000)} kbit/s`;
}

/** ratio 0 … 1 → "0,4 %"; tiny but not nothing stays visible. */
export function percent(ratio, lang = "vi") {
  if (!finite(ratio)) return DASH;
  const value = ratio * 100;
  if (value > 0 && value < 0.1) return lang === "en" ? "< 0.1 %" : "< 0,1 %";
  return `${decimal(value, value >= 10 ? 0 : 1, lang)} %`;
}

/** Milliseconds, whole: "24 ms". */
export function millis(ms) {
  return finite(ms) ? `${Math.round(ms)} ms` : DASH;
}

/** "2,0 s". */
export function seconds(value, lang = "vi") {
  return finite(value) ? `${decimal(value, 1, lang)} s` : DASH;
}

/** Frames a second, whole. */
export function fps(value) {
  return finite(value) ? String(Math.round(value)) : DASH;
}

export function count(value, lang = "vi") {
  return finite(value) ? Math.round(value).toLocaleString(lang === "en" ? "en-GB" : "vi-VN") : DASH;
}

/** "1280×720". */
export function size(width, height) {
  return width && height ? `${width}×${height}` : DASH;
}

/** Seconds → "4:09" or "1:04:09". */
export function clock(seconds) {
  if (!finite(seconds) || seconds < 0) return DASH;
  const whole = Math.floor(seconds);
  const two = (n) => String(n).padStart(2, "0");
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  return h > 0 ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

/** Epoch seconds (or ISO text) → local "08:05:12". */
export function timeOfDay(value, lang = "vi") {
  const date = finite(value) ? new Date(value * 1000) : new Date(value ?? NaN);
  if (Number.isNaN(date.getTime())) return DASH;
  return date.toLocaleTimeString(lang === "en" ? "en-GB" : "vi-VN", { hour12: false });
}

/** Vietnamese letters to plain ones, lower case: what people type when they search. */
export function plain(text) {
  return (text ?? "")
    .normalize("NFD")
    .replace(/[\u0300-\u036f]/g, "")
    .replace(/đ/gi, "d")
    .toLowerCase()
    .trim();
}
