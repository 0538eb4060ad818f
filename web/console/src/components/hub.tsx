import type { Client } from "@alfa-hub/common/client";
import { day, duration, moment, number, rupiah } from "@alfa-hub/common/format";
import type { Language } from "@alfa-hub/common/i18n";
import type { Role, Session } from "@alfa-hub/common/session";
import { createContext, type ReactNode, useContext } from "react";
import { useDataProvider, useLocale, useTranslate } from "react-admin";

import { HEADQUARTERS } from "../provider/authProvider";
import type { HubProvider } from "../provider/dataProvider";

interface Hub {
  session: Session;
  client: Client;
}

const HubContext = createContext<Hub | undefined>(undefined);

export function HubRoot({ session, client, children }: Hub & { children: ReactNode }) {
  return <HubContext.Provider value={{ session, client }}>{children}</HubContext.Provider>;
}

export function useHub(): Hub {
  const hub = useContext(HubContext);
  if (!hub) throw new Error("HubRoot is missing");
  return hub;
}

/** The role of who is signed in. */
export function useRole(): Role | undefined {
  return useHub().session.identity?.role;
}

export function useIsHeadquarters(): boolean {
  const role = useRole();
  return role !== undefined && HEADQUARTERS.includes(role);
}

/** Calls of the API. */
export function useProvider(): HubProvider {
  return useDataProvider<HubProvider>();
}

/** Texts and formats in the reader's language. */
export function useWords() {
  const language: Language = useLocale() === "en" ? "en" : "id";
  const translate = useTranslate();
  return {
    language,
    t: translate,
    /** A word for a value of an enum, or the value itself. */
    word: (group: string, value: string | null | undefined) =>
      value ? translate(`${group}.${value}`, { _: value }) : "",
    /** The name of a list or a table, or its code. */
    table: (name: string) => translate(`resources.${name}.name`, { smart_count: 1, _: name }),
    /** What a config or a job is for. */
    description: (key: string, text: string) => translate(`description.${key}`, { _: text }),
    /** Choices of an input: the values of an enum and their words. */
    choices: (group: string, values: readonly string[]) =>
      values.map((id) => ({ id, name: translate(`${group}.${id}`) })),
    money: rupiah,
    number,
    day: (value: string | Date | null | undefined) => day(value, language),
    moment: (value: string | Date | null | undefined) => moment(value, language),
    duration: (milliseconds: number) => duration(milliseconds, language),
  };
}
