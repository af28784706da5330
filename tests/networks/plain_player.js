// The smallest players, to compare with: a WHEP page, and one for Janus's streaming plugin.
(() => {
  function show(peer) {
    const video = document.createElement("video");
    video.autoplay = true;
    video.playsInline = true;
    video.style.width = "100%";
    video.srcObject = new MediaStream();
    peer.addEventListener("track", ({ track }) => video.srcObject.addTrack(track));
    document.body.replaceChildren(video);
  }

  const REPAIR_CODECS = /^(rtx|red|ulpfec|flexfec-03)$/i;

  /** The offer of a browser that can repair nothing: no nack, no RTX, no RED, no FEC; PLI stays. */
  function withoutRepair(sdp) {
    const gone = new Set();
    for (const [, type, name] of sdp.matchAll(/^a=rtpmap:(\d+) ([^/\r\n]+)/gm)) {
      if (REPAIR_CODECS.test(name)) gone.add(type);
    }
    const lines = sdp.split("\r\n").map((line) => {
      if (!line.startsWith("m=")) return line;
      const [head, types] = [line.split(" ").slice(0, 3), line.split(" ").slice(3)];
      return [...head, ...types.filter((type) => !gone.has(type))].join(" ");
    });
    const kept = lines.filter((line) => {
      const type = /^a=(?:rtpmap|fmtp|rtcp-fb):(\d+)/.exec(line)?.[1];
      return !gone.has(type) && !/^a=rtcp-fb:\S+ nack$/.test(line);
    });
    return kept.join("\r\n");
  }

  async function gathered(peer) {
    while (peer.iceGatheringState !== "complete") {
      await new Promise((resolve) =>
        peer.addEventListener("icegatheringstatechange", resolve, { once: true }),
      );
    }
  }

  async function whep({ url, token, repair }) {
    const peer = new RTCPeerConnection({ bundlePolicy: "max-bundle" });
    show(peer);
    for (const kind of ["audio", "video"]) peer.addTransceiver(kind, { direction: "recvonly" });
    const offer = await peer.createOffer();
    // Told to the browser too: it asks for what it offered itself, whatever the answer says.
    const sdp = repair ? offer.sdp : withoutRepair(offer.sdp);
    await peer.setLocalDescription({ type: "offer", sdp });
    const answer = await fetch(url, {
      method: "POST",
      headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/sdp" },
      body: sdp,
    });
    if (answer.status !== 201) throw new Error(`WHEP: ${answer.status} ${await answer.text()}`);
    const text = await answer.text();
    await peer.setRemoteDescription({ type: "answer", sdp: text });
    return { offer: sdp, answer: text };
  }

  async function janus({ url, mountpoint }) {
    const socket = new WebSocket(url, "janus-protocol");
    await new Promise((resolve, reject) => {
      socket.onopen = resolve;
      socket.onerror = () => reject(new Error("Janus: no WebSocket"));
    });
    const waiting = new Map();
    socket.onmessage = ({ data }) => {
      const reply = JSON.parse(data);
      if (reply.janus === "ack") return;
      waiting.get(reply.transaction)?.(reply);
      waiting.delete(reply.transaction);
    };
    let number = 0;
    let session = 0;
    const ask = async (message) => {
      const transaction = String((number += 1));
      const full = { ...message, transaction, ...(session ? { session_id: session } : {}) };
      const reply = await new Promise((resolve) => {
        waiting.set(transaction, resolve);
        socket.send(JSON.stringify(full));
      });
      if (reply.janus === "error") throw new Error(`Janus: ${JSON.stringify(reply.error)}`);
      return reply;
    };
    session = (await ask({ janus: "create" })).data.id;
    const handle = (await ask({ janus: "attach", plugin: "janus.plugin.streaming" })).data.id;
    const to = { janus: "message", handle_id: handle };
    const watched = await ask({ ...to, body: { request: "watch", id: mountpoint } });
    if (!watched.jsep) throw new Error(`Janus made no offer: ${JSON.stringify(watched)}`);
    const peer = new RTCPeerConnection({ bundlePolicy: "max-bundle" });
    show(peer);
    await peer.setRemoteDescription(watched.jsep);
    await peer.setLocalDescription(await peer.createAnswer());
    await gathered(peer);
    const jsep = { type: "answer", sdp: peer.localDescription.sdp };
    await ask({ ...to, body: { request: "start" }, jsep });
    setInterval(() => {
      socket.send(JSON.stringify({ janus: "keepalive", session_id: session, transaction: "k" }));
    }, 20_000);
    return { offer: watched.jsep.sdp, answer: jsep.sdp };
  }

  window.plainPlayer = { whep, janus };
})();
