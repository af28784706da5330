/** The studio's list of layers: size, frames, bits, and in plain words what holds one back. */

import { bitrate, fps, size } from "../core/format.js";
import { layerRows } from "../core/layer_rows.js";
import { element, setText } from "./dom.js";

export function drawLayers(list, layers, layerBps, translator) {
  const rows = layerRows(layers, layerBps);
  while (list.children.length > rows.length) list.lastElementChild.remove();
  while (list.children.length < rows.length) {
    list.append(element("li", {}, element("strong"), element("span"), element("em")));
  }
  rows.forEach((row, index) => drawRow(list.children[index], row, translator));
}

function drawRow(item, row, translator) {
  const t = (key, values) => translator.t(key, values);
  const [name, figures, note] = item.children;
  item.dataset.sent = String(row.sent);
  setText(name, t(row.nameKey));
  const words = [
    size(row.width, row.height),
    t("studio.layer.fps", { fps: fps(row.fps) }),
    bitrate(row.bitrateBps, translator.lang),
  ];
  setText(figures, row.sent ? words.join(" · ") : "–");
  setText(note, row.noteKey === null ? "" : t(row.noteKey));
}
