/** The front door: says which link to open. */

import { pageTranslator } from "../i18n/index.js";

const translator = pageTranslator(document, localStorage);
const title = () => {
  document.title = `${translator.t("index.title")} · wardcast`;
};
translator.onChange(title);
title();
