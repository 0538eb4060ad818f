/** What the pages read when they start; served with `Cache-Control: no-store`. */
export interface Config {
  /** Absolute URL of the gateway, without a slash at its end. */
  api: string;
}

/**
 * Read `config.json` beside the page. Its `api` is a path of this origin or a URL; without the file it is `/api`.
 * A file that is no JSON is a mistake of the operator, and raises.
 */
export async function readConfig(page: string = document.baseURI): Promise<Config> {
  const answer = await fetch(new URL("config.json", page), { cache: "no-store" });
  const read: { api?: string } = answer.ok ? await answer.json() : {};
  return { api: new URL(read.api ?? "/api", page).href.replace(/\/$/, "") };
}
