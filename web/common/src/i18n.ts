/** Languages of the pages. Indonesian is the default and has every text first. */
export type Language = "id" | "en";

const COOKIE = "lang";

/** The language that the reader chose; a cookie keeps it, because it is needed before anything is drawn. */
export function readLanguage(cookies: string = document.cookie): Language {
  return /(?:^|; )lang=en(?:;|$)/.test(cookies) ? "en" : "id";
}

/** Keep the reader's choice for a year and state it in the document, for screen readers. */
export function writeLanguage(language: Language): void {
  document.cookie = `${COOKIE}=${language}; path=/; max-age=31536000; samesite=strict`;
  document.documentElement.lang = language;
}

/** Values of a text's placeholders. */
export type Values = Record<string, string | number>;

/** Replace `{name}` by its value; an unknown name stays as it is. */
export function fill(text: string, values: Values = {}): string {
  return text.replace(/\{(\w+)\}/g, (whole, name: string) => String(values[name] ?? whole));
}

/**
 * A function that returns a text by its key. The keys are those of the Indonesian file, and TypeScript
 * refuses an English file that lacks one: `const en: Texts<typeof id> = {...}`.
 */
export function translator<T extends Record<string, string>>(
  texts: Record<Language, T>,
  language: () => Language,
): (key: keyof T & string, values?: Values) => string {
  return (key, values) => fill(texts[language()][key] ?? key, values);
}

/** The type of a file of texts that has the keys of another. */
export type Texts<T> = Record<keyof T, string>;
