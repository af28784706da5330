/** The hub's studio status (hub/api/studio.py) as the page draws it. */

/**
 * @returns {{title: {vi?: string, en?: string}, communes: number|null, viewers: number|null,
 *   findings: object[]}}
 */
export function studioStatus(status) {
  return {
    title: { vi: status?.title, en: status?.title_en ?? status?.title },
    communes: status?.communes_watching ?? null,
    viewers: status?.viewers ?? null,
    findings: status?.findings ?? [],
  };
}
