import type { Language } from "./i18n";

const GROUPED = new Intl.NumberFormat("id-ID", { maximumFractionDigits: 2 });

/** IDR as in Indonesia: Rp1.250.000. Nothing for null. */
export function rupiah(amount: number | null | undefined): string {
  if (amount === null || amount === undefined) return "";
  return amount < 0 ? `-Rp${GROUPED.format(-amount)}` : `Rp${GROUPED.format(amount)}`;
}

/** A whole number with Indonesian separators: 12.500. Nothing for null. */
export function number(value: number | null | undefined): string {
  return value === null || value === undefined ? "" : GROUPED.format(value);
}

/** Indonesia's time zones, with the abbreviation that follows a time. */
const ZONES: Record<string, string> = {
  "Asia/Jakarta": "WIB",
  "Asia/Pontianak": "WIB",
  "Asia/Makassar": "WITA",
  "Asia/Ujung_Pandang": "WITA",
  "Asia/Jayapura": "WIT",
};

/** Days of invoices and statements are days in Jakarta. */
const JAKARTA = "Asia/Jakarta";

/** The reader's time zone if it is one of Indonesia's, else Jakarta's. */
export function readerZone(zone: string = Intl.DateTimeFormat().resolvedOptions().timeZone): string {
  return zone in ZONES ? zone : JAKARTA;
}

function locale(language: Language): string {
  return language === "id" ? "id-ID" : "en-GB";
}

/** A day, as in 27 Nov 2026. A date without a time is that day everywhere; a moment is taken in `zone`. */
export function day(value: string | Date | null | undefined, language: Language, zone = JAKARTA): string {
  if (!value) return "";
  const isDate = typeof value === "string" && /^\d{4}-\d{2}-\d{2}$/.test(value);
  return new Intl.DateTimeFormat(locale(language), {
    day: "numeric",
    month: "short",
    year: "numeric",
    timeZone: isDate ? "UTC" : zone,
  }).format(new Date(value));
}

/** A moment in an Indonesian zone, as in 27 Nov 2026 21.05 WIB. */
export function moment(
  value: string | Date | null | undefined,
  language: Language,
  zone: string = readerZone(),
): string {
  if (!value) return "";
  const time = new Intl.DateTimeFormat("id-ID", {
    hour: "2-digit",
    minute: "2-digit",
    hourCycle: "h23",
    timeZone: zone,
  }).format(new Date(value));
  return `${day(value, language, zone)} ${time} ${ZONES[zone] ?? "WIB"}`;
}

/** The day of a moment in Jakarta as the API takes it: 2026-11-27. */
export function isoDay(value: Date): string {
  return new Intl.DateTimeFormat("en-CA", { timeZone: JAKARTA }).format(value);
}

const UNITS = {
  id: { day: "hari", hour: "jam", minute: "menit" },
  en: { day: "d", hour: "h", minute: "min" },
} as const;

/** A length of time in its two largest units: 3 jam 12 menit, 2 hari 4 jam. Negative ones count as their amount. */
export function duration(milliseconds: number, language: Language): string {
  const minutes = Math.floor(Math.abs(milliseconds) / 60_000);
  const unit = UNITS[language];
  const parts: [number, string][] = [
    [Math.floor(minutes / 1440), unit.day],
    [Math.floor((minutes % 1440) / 60), unit.hour],
    [minutes % 60, unit.minute],
  ];
  const first = parts.findIndex(([count]) => count > 0);
  if (first < 0) return `0 ${unit.minute}`;
  return parts
    .slice(first, first + 2)
    .filter(([count]) => count > 0)
    .map(([count, name]) => `${count} ${name}`)
    .join(" ");
}

/**
 * A text cut at the numbers of documents and products in it, such as ORD-202611-000123 and KRN-PRM-08: each second
 * part is a number. They have hyphens, at which a browser would break them into two lines.
 */
export function cutAtNumbers(text: string): string[] {
  return text.split(/([A-Z]{2,5}(?:-[A-Z0-9]+)+)/);
}
