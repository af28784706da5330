/** The studio's camera, microphone and screen: one MediaStream whose tracks change under way. */

import {
  captureProblem,
  openCamera,
  openMicrophone,
  openScreen,
} from "../rtc/capture.js";
import { element } from "./dom.js";

export const SCREEN = "screen";
export const NONE = "none";

export class Sources {
  #media;
  #on;
  #serial = { video: 0, audio: 0 };
  stream = new MediaStream();

  /**
   * @param {MediaDevices} media
   * @param {{changed: (kind: string) => void, problem: (key: string) => void,
   *   ended: (kind: string, wasScreen: boolean) => void}} on
   */
  constructor(media, on) {
    this.#media = media;
    this.#on = on;
  }

  track(kind) {
    return this.stream.getTracks().find((one) => one.kind === kind) ?? null;
  }

  /** choice: a device id, "" for the default, SCREEN or NONE. */
  chooseVideo(choice, resolution) {
    return this.#choose("video", choice, () =>
      choice === SCREEN
        ? openScreen(this.#media, resolution)
        : openCamera(this.#media, choice, resolution),
    );
  }

  chooseAudio(choice, hall) {
    return this.#choose("audio", choice, () => openMicrophone(this.#media, choice, hall));
  }

  /** [{deviceId, label}] of a kind, as the browser tells after permission. */
  async devices(kind) {
    const all = await this.#media.enumerateDevices();
    return all.filter((one) => one.kind === kind);
  }

  async #choose(kind, choice, open) {
    this.#serial[kind] += 1;
    const serial = this.#serial[kind];
    let track = null;
    if (choice !== NONE) {
      try {
        track = await open();
      } catch (error) {
        this.#on.problem(captureProblem(error));
        return false;
      }
    }
    // Another choice was made while this device was opening.
    if (serial !== this.#serial[kind]) {
      track?.stop();
      return false;
    }
    this.#swap(kind, track, choice === SCREEN);
    return true;
  }

  #swap(kind, track, isScreen) {
    const old = this.track(kind);
    if (old) this.stream.removeTrack(old);
    if (track) {
      this.stream.addTrack(track);
      track.addEventListener("ended", () => {
        if (this.track(kind) === track) this.#on.ended(kind, isScreen);
      });
    }
    this.#on.changed(kind);
    old?.stop();
  }
}

/** Fill a <select> with devices, keeping the choice while its device is there. */
export function fillDevices(select, devices, extra, nameless) {
  const before = select.value;
  const options = devices.map(({ deviceId, label }, index) =>
    element("option", { value: deviceId, text: label || nameless(index + 1) }),
  );
  options.push(...extra.map(({ value, text }) => element("option", { value, text })));
  select.replaceChildren(...options);
  const values = options.map((option) => option.value);
  if (values.includes(before)) select.value = before;
}
