/**
 * Tells the node at which size the picture is seen (`POST <session>/layer`), once it has stayed
 * the same for a moment, and again for each new session. Nodes that do not offer it are left alone.
 */

import { HttpProblem } from "../core/problem.js";
import { sameSize } from "../core/visible_size.js";

/** A window that is being resized tells of every pixel. */
export const SETTLE_MS = 500;
export const RETRY_MS = 5000;

export class SizeTeller {
  #env;
  #session = null;
  #wish = null;
  #told = null;
  #waiting = false;

  constructor(env) {
    this.#env = env;
  }

  /** What the node was told last and took, or null. */
  get told() {
    return this.#told;
  }

  /** @param {import("./http_session.js").HttpSession|null} session the one that plays now */
  use(session) {
    if (session === this.#session) return;
    this.#session = session;
    this.#told = null;
    void this.#settle(0);
  }

  /** @param {{maxWidth: number, maxHeight: number}|null} size null: nothing to be asked */
  see(size) {
    if (size === null || sameSize(size, this.#wish)) return;
    this.#wish = size;
    void this.#settle(SETTLE_MS);
  }

  async #settle(ms) {
    if (this.#waiting) return;
    this.#waiting = true;
    try {
      let pauseMs = ms;
      while (this.#due()) {
        const wish = this.#wish;
        await this.#env.wait(pauseMs);
        // Still moving: wait once more.
        if (!sameSize(wish, this.#wish)) continue;
        if (!this.#due()) break;
        pauseMs = (await this.#tell()) ? SETTLE_MS : RETRY_MS;
      }
    } finally {
      this.#waiting = false;
    }
  }

  #due() {
    return Boolean(this.#session?.layer) && this.#wish !== null && !sameSize(this.#wish, this.#told);
  }

  /** False: to be tried again. */
  async #tell() {
    const session = this.#session;
    const wish = this.#wish;
    const problem = await session.askLayer(wish).then(
      () => null,
      (error) => error,
    );
    if (problem !== null && !(problem instanceof HttpProblem)) throw problem;
    if (session !== this.#session) return true;
    if (problem !== null && !problem.final) return false;
    // A refusal is an answer too: the same wish is not repeated to this session.
    this.#told = wish;
    return true;
  }
}
