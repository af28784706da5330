/** Sentences by key, Vietnamese first. A missing key is a fault, so it shows itself as the key. */

import en from "./en.js";
import vi from "./vi.js";

const TABLES = { vi, en };
const KEY = "wardcast.lang";

/** `?lang=en` wins, then what the person chose before, then Vietnamese. */
export function initialLanguage(search, stored) {
  const asked = new URLSearchParams(search).get("lang") ?? stored;
  return asked in TABLES ? asked : "vi";
}

export class Translator {
  #listeners = [];
  lang;

  constructor(lang) {
    this.lang = lang;
  }

  /** The sentence, with {name} places filled in. */
  t(key, values = {}) {
    const text = TABLES[this.lang][key] ?? key;
    return text.replace(/\{(\w+)\}/g, (whole, name) => String(values[name] ?? whole));
  }

  has(key) {
    return key in TABLES[this.lang];
  }

  onChange(listener) {
    this.#listeners.push(listener);
  }

  use(lang) {
    this.lang = lang;
    for (const listener of this.#listeners) listener(lang);
  }
}

/** The page's translator: fills [data-i18n], [data-i18n-label], [data-i18n-placeholder]. */
export function pageTranslator(document, storage) {
  const translator = new Translator(
    initialLanguage(document.location.search, safely(() => storage.getItem(KEY))),
  );
  const fill = () => {
    document.documentElement.lang = translator.lang;
    for (const element of document.querySelectorAll("[data-i18n]")) {
      element.textContent = translator.t(element.dataset.i18n);
    }
    for (const element of document.querySelectorAll("[data-i18n-label]")) {
      const text = translator.t(element.dataset.i18nLabel);
      element.setAttribute("aria-label", text);
      element.title = text;
    }
    for (const element of document.querySelectorAll("[data-i18n-placeholder]")) {
      element.placeholder = translator.t(element.dataset.i18nPlaceholder);
    }
  };
  translator.onChange((lang) => {
    safely(() => storage.setItem(KEY, lang));
    fill();
  });
  for (const button of document.querySelectorAll("[data-language-switch]")) {
    button.addEventListener("click", () => translator.use(translator.lang === "vi" ? "en" : "vi"));
  }
  fill();
  return translator;
}

function safely(action) {
  try {
    return action();
  } catch {
    // Storage is closed to the page: the choice lasts until a reload.
    return null;
  }
}
