import { createClient } from "@alfa-hub/common/client";
import { readConfig } from "@alfa-hub/common/config";
import { Session } from "@alfa-hub/common/session";
import { createRoot, type Root } from "react-dom/client";
import type { I18nProvider } from "react-admin";

import { createApp } from "./App";
import { createI18n } from "./provider/i18n";

import "./style.css";

/** Without the hub there is nothing to show; the session is kept, and starting again takes it up. */
function showFailure(root: Root, i18n: I18nProvider): void {
  root.render(
    <main role="alert" className="failure">
      <h1>{i18n.translate("hub.start.failed")}</h1>
      <p>{i18n.translate("error.UNAVAILABLE")}</p>
      <button type="button" onClick={() => location.reload()}>
        {i18n.translate("hub.start.retry")}
      </button>
    </main>,
  );
}

async function start(root: Root): Promise<void> {
  const i18n = await createI18n();
  try {
    const { api } = await readConfig();
    const session = new Session({ api, app: "console" });
    await session.restore();
    const App = createApp({ session, client: createClient(api, session), i18n });
    root.render(<App />);
  } catch {
    showFailure(root, i18n);
  }
}

const element = document.getElementById("root");
if (element) void start(createRoot(element));
