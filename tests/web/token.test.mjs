import assert from "node:assert/strict";
import { test } from "node:test";

import { claimsOf, shareableLink, takeToken, tokenOfFragment } from "../../viewer_web/core/token.js";

class FakeStorage {
  items = new Map();
  getItem(key) {
    return this.items.get(key) ?? null;
  }
  setItem(key, value) {
    this.items.set(key, value);
  }
}

const at = (hash) => ({ pathname: "/xem/an-phu", search: "", hash });
const historyOf = (calls) => ({ state: null, replaceState: (...args) => calls.push(args) });

test("the token leaves the address bar and survives a reload and a bookmark", () => {
  const [tab, computer, calls] = [new FakeStorage(), new FakeStorage(), []];
  const keep = [tab, computer];
  const history = historyOf(calls);
  assert.equal(takeToken({ location: at("#t=abc.def.ghi"), history, keep }), "abc.def.ghi");
  assert.deepEqual(calls, [[null, "", "/xem/an-phu"]]);
  assert.equal(takeToken({ location: at(""), history, keep }), "abc.def.ghi");
  const newTab = [new FakeStorage(), computer];
  assert.equal(takeToken({ location: at(""), history, keep: newTab }), "abc.def.ghi");
});

test("a new link wins over the kept token; another page's token is not taken", () => {
  const keep = [new FakeStorage()];
  const history = historyOf([]);
  takeToken({ location: at("#t=old"), history, keep });
  assert.equal(takeToken({ location: at("#t=new"), history, keep }), "new");
  assert.equal(takeToken({ location: at(""), history, keep }), "new");
  assert.equal(takeToken({ location: { ...at(""), pathname: "/xem/x" }, history, keep }), null);
});

test("closed storage is no obstacle", () => {
  const closed = {
    getItem() {
      throw new Error("denied");
    },
    setItem() {
      throw new Error("denied");
    },
  };
  const options = { history: historyOf([]), keep: [closed] };
  assert.equal(takeToken({ location: at("#t=abc"), ...options }), "abc");
  assert.equal(takeToken({ location: at(""), ...options }), null);
});

test("the shared link opens the page with its token", () => {
  const link = shareableLink("https://hub.vn/xem/an-phu?lang=en", "a.b-c_d");
  assert.equal(link, "https://hub.vn/xem/an-phu?lang=en#t=a.b-c_d");
  assert.equal(tokenOfFragment(new URL(link).hash), "a.b-c_d");
});

test("claims are read with their Vietnamese letters; anything else is no claims", () => {
  const payload = Buffer.from('{"sub":"an-phu","name":"An Phú"}').toString("base64url");
  assert.deepEqual(claimsOf(`h.${payload}.s`), { sub: "an-phu", name: "An Phú" });
  for (const bad of [null, "", "x", "a.!!.c", `a.${btoa("3")}.c`]) assert.deepEqual(claimsOf(bad), {});
});
