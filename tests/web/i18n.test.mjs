import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";

import { GRADES } from "../../viewer_web/core/grade.js";
import { RIDS } from "../../viewer_web/core/layers.js";
import { PUBLISHER_TABLE, VIEWER_TABLE } from "../../viewer_web/core/session_state.js";
import en from "../../viewer_web/i18n/en.js";
import { initialLanguage, Translator } from "../../viewer_web/i18n/index.js";
import vi from "../../viewer_web/i18n/vi.js";

const WEB = new URL("../../viewer_web/", import.meta.url);
const places = (text) => (text.match(/\{\w+\}/g) ?? []).sort();

function sources() {
  const files = readdirSync(WEB, { recursive: true }).filter((name) => /\.(js|html)$/.test(name));
  return files.map((name) => [name, readFileSync(new URL(name, WEB), "utf8")]);
}

test("both languages have the same keys with the same places", () => {
  assert.deepEqual(Object.keys(en).sort(), Object.keys(vi).sort());
  for (const key of Object.keys(vi)) assert.deepEqual(places(en[key]), places(vi[key]), key);
});

test("every key that a page names exists", () => {
  const pattern = /(?:data-i18n(?:-label|-placeholder)?="|["'`])((?:lang|link|refused|viewer|figure|studio|operator|grade|index|app)\.[a-z_.]+)["'`]/g;
  let seen = 0;
  for (const [name, text] of sources()) {
    if (name.includes("i18n")) continue;
    for (const [, key] of text.matchAll(pattern)) {
      seen += 1;
      assert.ok(key in vi, `${name}: ${key}`);
    }
  }
  assert.ok(seen > 80);
});

test("keys that are put together at run time exist", () => {
  for (const state of Object.keys(VIEWER_TABLE)) assert.ok(`viewer.state.${state}` in vi, state);
  for (const state of Object.keys(PUBLISHER_TABLE)) assert.ok(`studio.state.${state}` in vi, state);
  for (const grade of GRADES) assert.ok(`grade.${grade}` in vi, grade);
  for (const word of ["none", "voice", "good", "fair", "bad"]) assert.ok(`viewer.link.${word}` in vi);
  for (const word of ["none", "cpu", "bandwidth", "other"]) {
    assert.ok(`studio.limitation.${word}` in vi);
  }
  for (const rid of [...RIDS, "one"]) assert.ok(`studio.layer.${rid}` in vi, rid);
  for (const word of ["held.bandwidth", "held.cpu", "less.bandwidth", "less.cpu", "unsent", "fps"]) {
    assert.ok(`studio.layer.${word}` in vi, word);
  }
  for (const notice of ["reduced", "audio-only"]) assert.ok(`viewer.line.${notice}` in vi, notice);
  for (const word of ["full", "reduced", "audio-only", "size", "pin"]) {
    assert.ok(`operator.line.${word}` in vi, word);
  }
  for (const path of ["udp", "tcp", "relay"]) assert.ok(`figure.path.${path}` in vi, path);
  for (const reason of ["nobody_on_air", "denied", "missing", "rejected", "busy", "server", "unreachable"]) {
    assert.ok(`refused.${reason}` in vi, reason);
  }
});

test("pages have neither inline scripts nor inline styles nor foreign hosts", () => {
  for (const [name, text] of sources().filter(([one]) => one.endsWith(".html"))) {
    assert.doesNotMatch(text, /<script(?![^>]*src=)|<style|\sstyle=|\son\w+=|https?:\/\//, name);
  }
});

test("Vietnamese is the language unless another is asked for", () => {
  assert.equal(initialLanguage("", null), "vi");
  assert.equal(initialLanguage("?lang=en", null), "en");
  assert.equal(initialLanguage("?lang=vi", "en"), "vi");
  assert.equal(initialLanguage("", "en"), "en");
  assert.equal(initialLanguage("?lang=xx", null), "vi");
});

test("places are filled, listeners told", () => {
  const translator = new Translator("vi");
  const heard = [];
  translator.onChange((lang) => heard.push(lang));
  assert.equal(translator.t("operator.connected_of", { n: 3, total: 63 }), "3 / 63");
  translator.use("en");
  assert.deepEqual(heard, ["en"]);
  assert.equal(translator.t("grade.good"), "Good");
});
