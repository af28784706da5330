/** The hub's studio status in the one shape that the page draws. */

/**
 * @param {object} status JSON of GET /api/studio/status
 * @returns {{communes: number|null, viewers: number|null, findings: object[], publisherId: string|null,
 *   title: string|null}}
 */
export function studioStatus(status) {
  const stream = status?.stream ?? status ?? {};
  const publisher = stream.publisher ?? null;
  const pick = (...values) => values.find((value) => value !== undefined && value !== null) ?? null;
  const number = (value) => (Array.isArray(value) ? value.length : value);
  return {
    communes: number(pick(status?.communes_watching, stream.communes_watching, stream.communes)),
    viewers: number(pick(status?.viewers, stream.viewers)),
    findings: pick(status?.findings, stream.findings, publisher?.findings) ?? [],
    publisherId: publisher?.id ?? null,
    title: pick(status?.title, stream.title),
  };
}
