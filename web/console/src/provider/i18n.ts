import { type Language, readLanguage, writeLanguage } from "@alfa-hub/common/i18n";
import polyglotI18nProvider from "ra-i18n-polyglot";
import type { I18nProvider } from "react-admin";

import id from "../texts/id";

/** Texts in Indonesian, in English on request. A cookie keeps the choice. */
export async function createI18n(): Promise<I18nProvider> {
  const load = async (language: string) => (language === "en" ? (await import("../texts/en")).default : id);
  const first = readLanguage();
  const texts = await load(first);
  writeLanguage(first);
  const provider = polyglotI18nProvider((language) => (language === first ? texts : load(language)), first, [
    { locale: "id", name: "Bahasa Indonesia" },
    { locale: "en", name: "English" },
  ]);
  return {
    ...provider,
    changeLocale: async (language: string) => {
      await provider.changeLocale(language);
      writeLanguage(language as Language);
    },
  };
}
