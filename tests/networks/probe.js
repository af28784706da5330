// In every page before its own scripts: what its peer connections bring and its video shows.
// One sample each 250 ms from getStats, sums over all peer connections the page ever had; frames as
// the compositor presents them, and the sound's clock each 50 ms.
(() => {
  const SAMPLE_MS = 250;
  const SOUND_MS = 50;
  const now = () => performance.timeOrigin + performance.now();
  const peers = [];
  const last = new Map();
  const sums = {
    decoded: 0, dropped: 0, videoBytes: 0, videoPackets: 0, videoLost: 0, freezes: 0, freezeS: 0,
    audioBytes: 0, audioPackets: 0, audioLost: 0, concealed: 0, silent: 0, samples: 0, nacks: 0,
    plis: 0, rtx: 0,
  };
  const FIELDS = {
    video: {
      decoded: "framesDecoded", dropped: "framesDropped", videoBytes: "bytesReceived",
      videoPackets: "packetsReceived", videoLost: "packetsLost", freezes: "freezeCount",
      freezeS: "totalFreezesDuration", nacks: "nackCount", plis: "pliCount",
      rtx: "retransmittedPacketsReceived",
    },
    audio: {
      audioBytes: "bytesReceived", audioPackets: "packetsReceived", audioLost: "packetsLost",
      concealed: "concealedSamples", silent: "silentConcealedSamples",
      samples: "totalSamplesReceived",
    },
  };
  const probe = {
    samples: [],
    frames: [], // [epoch ms at which it was presented, width, height]
    soundGaps: [], // [epoch ms of its end, ms for which the sound's clock stood still]
    presented: 0,
    firstFrameMs: null, // since the navigation began
    problems: [],
  };
  Object.defineProperty(window, "networkProbe", { value: probe });

  const Native = window.RTCPeerConnection;
  window.RTCPeerConnection = new Proxy(Native, {
    construct(target, args, self) {
      const peer = Reflect.construct(target, args, self === window.RTCPeerConnection ? target : self);
      peers.push(peer);
      return peer;
    },
  });

  function add(key, values, names) {
    const before = last.get(key) ?? {};
    for (const [sum, field] of Object.entries(names)) {
      const value = values[field] ?? 0;
      sums[sum] += value - (before[sum] ?? 0);
      before[sum] = value;
    }
    last.set(key, before);
  }

  async function sample() {
    const seen = { width: 0, height: 0, transport: "" };
    for (const [index, peer] of peers.entries()) {
      if (peer.connectionState === "closed") continue;
      const report = await peer.getStats();
      for (const one of report.values()) {
        if (one.type === "inbound-rtp") {
          add(`${index} ${one.id}`, one, FIELDS[one.kind] ?? {});
          if (one.kind === "video") {
            seen.width = one.frameWidth ?? 0;
            seen.height = one.frameHeight ?? 0;
          }
        }
        if (one.type === "transport" && one.selectedCandidatePairId) {
          const pair = report.get(one.selectedCandidatePairId);
          seen.transport = report.get(pair?.localCandidateId)?.protocol ?? "";
        }
      }
    }
    probe.samples.push({
      at: now(), ...sums, ...seen, presented: probe.presented, peers: peers.length,
    });
  }

  let sampling = false;
  setInterval(async () => {
    if (sampling) return;
    sampling = true;
    try {
      await sample();
    } catch (error) {
      probe.problems.push(String(error));
    } finally {
      sampling = false;
    }
  }, SAMPLE_MS);

  const sound = { clock: null, since: null };
  setInterval(() => {
    let clock = null;
    for (const peer of peers) {
      if (peer.connectionState === "closed") continue;
      for (const receiver of peer.getReceivers()) {
        if (receiver.track?.kind !== "audio") continue;
        const source = receiver.getSynchronizationSources()[0];
        if (source) clock = Math.max(clock ?? 0, source.timestamp);
      }
    }
    if (clock === null || clock === sound.clock) return;
    const at = now();
    if (sound.since !== null) probe.soundGaps.push([at, at - sound.since]);
    Object.assign(sound, { clock, since: at });
  }, SOUND_MS);

  const watched = new WeakSet();
  function follow(video) {
    let shown = 0;
    const next = (_, frame) => {
      // The count begins anew with a new source of the element.
      const more = frame.presentedFrames - shown;
      probe.presented += more > 0 ? more : 1;
      shown = frame.presentedFrames;
      probe.frames.push([performance.timeOrigin + frame.presentationTime, frame.width, frame.height]);
      probe.firstFrameMs ??= performance.now();
      video.requestVideoFrameCallback(next);
    };
    video.requestVideoFrameCallback(next);
  }
  setInterval(() => {
    for (const video of document.querySelectorAll("video")) {
      if (watched.has(video)) continue;
      watched.add(video);
      follow(video);
    }
  }, 20);
})();
