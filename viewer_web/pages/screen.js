/**
 * The viewer's video element as a surface: it keeps the last picture over a change of stream, and
 * plays with sound where the browser allows it, muted with a big button where not.
 */

import { setText } from "./dom.js";

export class Screen {
  #video;
  #canvas;
  #onSound;
  #wantsSound = true;

  /** @param {(blocked: boolean) => void} onSound the browser holds the sound back, or no more */
  constructor(video, canvas, onSound) {
    this.#video = video;
    this.#canvas = canvas;
    this.#onSound = onSound;
    // Only a picture takes the last one away; "playing" may come before the first frame.
    if (!video.requestVideoFrameCallback) {
      video.addEventListener("timeupdate", () => this.#uncover());
    }
  }

  get muted() {
    return this.#video.muted;
  }

  /** Surface of WhepPlayer. */
  show(stream) {
    this.#cover();
    this.#video.srcObject = stream;
    this.#video.requestVideoFrameCallback?.(() => this.#uncover());
    void this.play();
  }

  /** Play with sound if the browser lets us, else without and say so. */
  async play() {
    if (!this.#video.srcObject) return;
    if (this.#wantsSound) this.#video.muted = false;
    try {
      await this.#video.play();
    } catch (error) {
      // AbortError: a newer stream has taken this one's place and plays itself.
      if (error.name !== "NotAllowedError") return;
      this.#video.muted = true;
      await this.#video.play().catch(() => this.#onSound(true));
    }
    this.#onSound(this.#wantsSound && this.#video.muted);
  }

  /** In a click: the browser allows sound now. */
  async unmute() {
    this.#wantsSound = true;
    await this.play();
  }

  mute() {
    this.#wantsSound = false;
    this.#video.muted = true;
    this.#onSound(false);
  }

  #cover() {
    const { videoWidth, videoHeight } = this.#video;
    if (!videoWidth) return;
    if (this.#canvas.hidden || this.#video.readyState >= 2) {
      this.#canvas.width = videoWidth;
      this.#canvas.height = videoHeight;
      this.#canvas.getContext("2d").drawImage(this.#video, 0, 0);
    }
    this.#canvas.hidden = false;
  }

  #uncover() {
    this.#canvas.hidden = true;
  }
}

/** Full screen of the stage, with the word of its button. */
export function bindFullscreen(button, translator) {
  const root = document.documentElement;
  const label = () => {
    setText(button, translator.t(document.fullscreenElement ? "viewer.fullscreen_exit" : "viewer.fullscreen"));
  };
  button.addEventListener("click", () => {
    const video = document.querySelector("video");
    if (document.fullscreenElement) void document.exitFullscreen();
    else if (root.requestFullscreen) void root.requestFullscreen();
    // iPhones give full screen to video elements alone.
    else video?.webkitEnterFullscreen?.();
  });
  document.addEventListener("fullscreenchange", label);
  translator.onChange(label);
  let timer = 0;
  root.addEventListener("pointermove", () => {
    root.classList.add("controls");
    clearTimeout(timer);
    timer = setTimeout(() => root.classList.remove("controls"), 3000);
  });
}
