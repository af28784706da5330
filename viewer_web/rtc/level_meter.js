/** Level of a microphone in dBFS by an AnalyserNode; nothing is recorded or played. */

export const SILENCE_DB = -60;

export class LevelMeter {
  #context = null;
  #source = null;
  #analyser = null;
  #samples = null;

  /** @param {MediaStreamTrack|null} track */
  async attach(track) {
    this.#source?.disconnect();
    this.#source = null;
    if (!track) return;
    this.#context ??= new AudioContext();
    this.#analyser ??= new AnalyserNode(this.#context, { fftSize: 2048 });
    this.#samples ??= new Float32Array(this.#analyser.fftSize);
    this.#source = new MediaStreamAudioSourceNode(this.#context, {
      mediaStream: new MediaStream([track]),
    });
    this.#source.connect(this.#analyser);
    await this.#context.resume();
  }

  /** {rms, peak} in dBFS, at least SILENCE_DB. */
  read() {
    if (!this.#source) return { rms: SILENCE_DB, peak: SILENCE_DB };
    this.#analyser.getFloatTimeDomainData(this.#samples);
    return levelOf(this.#samples);
  }
}

/** Level of samples in -1 … 1. */
export function levelOf(samples) {
  let sum = 0;
  let peak = 0;
  for (const sample of samples) {
    sum += sample * sample;
    peak = Math.max(peak, Math.abs(sample));
  }
  const db = (value) => Math.max(SILENCE_DB, value > 0 ? 20 * Math.log10(value) : SILENCE_DB);
  return { rms: db(Math.sqrt(sum / samples.length)), peak: db(peak) };
}
