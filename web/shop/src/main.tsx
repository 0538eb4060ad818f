import { readConfig } from "@alfa-hub/common/config";
import { render } from "preact";

import { App } from "./app";
import { start, startError } from "./state";

const root = document.getElementById("app");
if (root) render(<App />, root);
readConfig()
  .then((config) => start(config.api))
  .catch((error: unknown) => {
    startError.value = error;
  });
