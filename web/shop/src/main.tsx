import { readConfig } from "@alfa-hub/common/config";
import { render } from "preact";

import { App } from "./app";
import { start, startError, takeUpLanguage } from "./state";

const root = document.getElementById("app");
void takeUpLanguage().then(() => {
  if (root) render(<App />, root);
});
readConfig()
  .then((config) => start(config.api))
  .catch((error: unknown) => {
    startError.value = error;
  });
