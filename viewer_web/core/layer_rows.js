/** The studio's layers as rows: what is sent of each, and what holds it back. */

const REASONS = new Set(["bandwidth", "cpu"]);

/**
 * @param {object[]} layers of a publisher digest, richest first
 * @param {Map<string, number|null>} [layerBps] of `publisherRates`
 * @returns {{nameKey: string, sent: boolean, width: number|null, height: number|null,
 *   fps: number|null, bitrateBps: number|null, noteKey: string|null}[]}
 */
export function layerRows(layers, layerBps = new Map()) {
  const onAir = layers.some((layer) => layer.sent);
  return layers.map((layer) => {
    const bitrateBps = layerBps.get(layer.id) ?? null;
    const reason = REASONS.has(layer.limitation) ? layer.limitation : null;
    // Browsers differ in how they tell a layer that gets no bits; no byte is no byte.
    const sent = layer.sent && !(bitrateBps === 0 && reason !== null);
    const nameKey = ["h", "m", "l"].includes(layer.rid) ? `studio.layer.${layer.rid}` : "studio.layer.one";
    const held = reason === null ? onAir && "studio.layer.unsent" : `studio.layer.held.${reason}`;
    const less = reason && `studio.layer.less.${reason}`;
    const noteKey = (sent ? less : held) || null;
    return { ...layer, sent, nameKey, bitrateBps, noteKey };
  });
}
