/** A virtual clock and stand-ins for fetch, peers and the screen. */

/** Timers and time that move only when the test says so. */
export class VirtualClock {
  nowMs = 0;
  #timers = [];

  wait(ms) {
    return new Promise((resolve) => this.#timers.push({ atMs: this.nowMs + ms, resolve }));
  }

  every(ms, action) {
    let live = true;
    const loop = async () => {
      for (;;) {
        await this.wait(ms);
        if (!live) return;
        action();
      }
    };
    void loop();
    return () => {
      live = false;
    };
  }

  /** Let `ms` pass; `each` runs before every step of 50 ms. */
  async run(ms, each = () => {}) {
    const endMs = this.nowMs + ms;
    while (this.nowMs < endMs) {
      this.nowMs += 50;
      each();
      const due = this.#timers.filter((timer) => timer.atMs <= this.nowMs);
      this.#timers = this.#timers.filter((timer) => timer.atMs > this.nowMs);
      for (const timer of due) timer.resolve();
      await settle();
    }
  }
}

/** Let every promise that can go on go on. */
export async function settle() {
  for (let turn = 0; turn < 8; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

const OFFER =
  "v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=ice-ufrag:me\r\na=ice-pwd:mypwd\r\n";
export const ANSWER =
  "v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=ice-ufrag:sv\r\na=ice-pwd:svpwd\r\n";

/** An RTCPeerConnection whose media the test moves. */
export class FakePeer extends EventTarget {
  connectionState = "new";
  signalingState = "stable";
  /** transport: packets of all kinds, null for a browser that does not count them. */
  media = { audio: 0, video: 0, frames: 0, transport: null };
  calls = [];

  addTransceiver(kind, init) {
    this.calls.push(["addTransceiver", kind, init.direction]);
  }
  async createOffer(options) {
    this.calls.push(["createOffer", options?.iceRestart ?? false]);
    return { type: "offer", sdp: OFFER };
  }
  async createAnswer() {
    return { type: "answer", sdp: "v=0\r\nour answer\r\n" };
  }
  getConfiguration() {
    return this.configuration ?? {};
  }
  setConfiguration(configuration) {
    if (this.refusesServers) throw new SyntaxError("not a URI");
    this.configuration = configuration;
    this.calls.push(["setConfiguration", configuration.iceServers]);
  }
  async setLocalDescription({ type, sdp }) {
    this.calls.push(["setLocalDescription", type]);
    if (type !== "rollback") this.localDescription = { type, sdp };
    this.signalingState = type === "offer" ? "have-local-offer" : "stable";
  }
  async setRemoteDescription({ type, sdp }) {
    this.signalingState = type === "offer" ? "have-remote-offer" : "stable";
    this.remote = sdp;
    for (const kind of ["audio", "video"]) {
      const event = new Event("track");
      event.track = { kind };
      this.dispatchEvent(event);
    }
  }
  async getStats() {
    const { audio, video, frames, transport } = this.media;
    const counted = transport === null ? {} : { packetsReceived: transport };
    return new Map([
      ["t", { type: "transport", ...counted }],
      ["a", { type: "inbound-rtp", kind: "audio", packetsReceived: audio }],
      ["v", { type: "inbound-rtp", kind: "video", packetsReceived: video, framesDecoded: frames }],
    ]);
  }
  getReceivers() {
    return [];
  }
  close() {
    this.connectionState = "closed";
  }

  /** One step of live media. */
  flow({ decode = true } = {}) {
    this.media.audio += 3;
    this.media.video += 10;
    if (decode) this.media.frames += 1;
    if (this.media.transport !== null) this.media.transport += 13;
  }

  /** A report of the node, whose publisher is silent. */
  rtcp() {
    this.media.transport += 1;
  }
}

/** An event stream that the test writes to. */
export class FakeEventStream {
  #controller;
  body = new ReadableStream({ start: (controller) => (this.#controller = controller) });

  send(name, data) {
    const text = `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`;
    this.#controller.enqueue(new TextEncoder().encode(text));
  }
  end() {
    this.#controller.close();
  }
}

/** A WHEP server in a few lines: `posts`, `patches` … may be replaced by a test. */
export class FakeServer {
  requests = [];
  streams = [];
  sessions = new Set();
  down = false;
  /** Origins that refuse connections; that take requests and never answer. */
  dead = new Set();
  mute = new Set();
  /** Origin to which the hub's 307 leads, with a ticket; fetch follows by itself. */
  redirectTo = null;
  refuse = null;
  restartStatus = 200;
  /** Answer to OPTIONS: by default one that comes too late. */
  options = new Promise(() => {});
  #serial = 0;

  get fetch() {
    return async (url, init) => this.#answer(String(url), init);
  }

  count(method, path = "") {
    return this.requests.filter((one) => one.method === method && one.url.includes(path)).length;
  }

  #answer(url, { method = "GET", headers, body, keepalive }) {
    this.requests.push({ url, method, headers, body, keepalive });
    const { origin, pathname } = new URL(url);
    if (this.down || this.dead.has(origin)) throw new TypeError("failed to fetch");
    if (this.mute.has(origin)) return new Promise(() => {});
    if (method === "OPTIONS") return this.options;
    if (pathname.endsWith("/sse") && method === "POST") return reply(201, "", { Location: "sse/1" });
    if (pathname.endsWith("/sse/1")) return this.#events();
    if (pathname.startsWith("/session/")) return this.#session(pathname, method, headers);
    if (this.refuse !== null) return this.refuse;
    const { redirectTo } = this;
    if (redirectTo === null || origin !== "https://hub.vn") return this.#created();
    const target = `${redirectTo}${pathname}?ticket=t`;
    if (this.mute.has(redirectTo)) return new Promise(() => {});
    this.requests.push({ url: target, method, headers: {}, body });
    if (this.dead.has(redirectTo)) throw new TypeError("failed to fetch");
    return Object.defineProperty(this.#created(), "url", { value: target });
  }

  #created() {
    this.#serial += 1;
    const path = `/session/${this.#serial}`;
    this.sessions.add(path);
    return reply(201, ANSWER, {
      "Content-Type": "application/sdp",
      Location: path,
      ETag: '"e1"',
      Link: `<${path}/sse>; rel="urn:ietf:params:whep:ext:core:server-sent-events"; events="active,inactive,reconnect"`,
    });
  }

  #session(path, method, headers) {
    // A GET says nothing of the session: servers answer it whether or not one is there.
    if (method === "GET") return reply(200, "");
    if (!this.sessions.has(path)) return reply(404, "");
    if (method === "DELETE") this.sessions.delete(path);
    if (method !== "PATCH") return reply(200, "");
    if (headers["If-Match"] !== '"*"') return reply(204, "");
    const fragment = "a=ice-ufrag:n\r\na=ice-pwd:np\r\n";
    return reply(this.restartStatus, fragment, { ETag: '"e2"' });
  }

  #events() {
    const stream = new FakeEventStream();
    this.streams.push(stream);
    return new Response(stream.body, { status: 200 });
  }
}

export const reply = (status, text, headers = {}) =>
  new Response(status === 204 ? null : text, { status, headers });

/** Environment of a player with its peers listed. */
export function fakeEnvironment(server, clock = new VirtualClock()) {
  const peers = [];
  return {
    clock,
    peers,
    env: {
      fetch: server.fetch,
      createPeer: () => {
        peers.push(new FakePeer());
        return peers.at(-1);
      },
      createStream: (tracks) => ({ tracks }),
      now: () => clock.nowMs,
      random: () => 0.5,
      wait: (ms) => clock.wait(ms),
      every: (ms, action) => clock.every(ms, action),
      hidden: () => false,
      videoCodecs: () => [],
    },
  };
}
