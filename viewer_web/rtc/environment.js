/** What the sessions need of the browser, in one object, so that tests can stand in for it. */

/** @returns {Environment} */
export function browserEnvironment() {
  return {
    fetch: (...args) => globalThis.fetch(...args),
    createPeer: (configuration) => new RTCPeerConnection(configuration),
    createStream: (tracks) => new MediaStream(tracks),
    now: () => performance.now(),
    random: Math.random,
    wait: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
    every: (ms, action) => {
      const timer = setInterval(action, ms);
      return () => clearInterval(timer);
    },
    hidden: () => document.hidden,
    videoCodecs: () => RTCRtpSender.getCapabilities?.("video")?.codecs ?? [],
  };
}

/**
 * @typedef {object} Environment
 * @property {typeof fetch} fetch
 * @property {(configuration: RTCConfiguration) => RTCPeerConnection} createPeer
 * @property {(tracks: MediaStreamTrack[]) => MediaStream} createStream
 * @property {() => number} now monotonic milliseconds
 * @property {() => number} random in [0, 1)
 * @property {(ms: number) => Promise<void>} wait
 * @property {(ms: number, action: () => void) => () => void} every returns its canceller
 * @property {() => boolean} hidden the page is in the background
 * @property {() => RTCRtpCodec[]} videoCodecs what the browser can encode
 */
