/** A wait that a nudge ends early. */
export class Pause {
  #env;
  #wake = () => {};

  constructor(env) {
    this.#env = env;
  }

  async wait(ms) {
    const woken = new Promise((resolve) => {
      this.#wake = resolve;
    });
    await Promise.race([this.#env.wait(ms), woken]);
  }

  wake() {
    this.#wake();
  }
}
