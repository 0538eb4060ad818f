import { describe, expect, it } from "vitest";

import { cutAtNumbers, day, duration, isoDay, moment, number, readerZone, rupiah } from "../src/format";

describe("rupiah", () => {
  it.each([
    [0, "Rp0"],
    [1250000, "Rp1.250.000"],
    [-250000, "-Rp250.000"],
    [1000.5, "Rp1.000,5"],
    [null, ""],
    [undefined, ""],
  ])("writes %s as %s", (amount, text) => expect(rupiah(amount)).toBe(text));

  it("keeps the largest amount that the hub stores", () =>
    expect(rupiah(9_999_999_999_999.99)).toBe("Rp9.999.999.999.999,99"));
});

it("separates thousands by points", () => expect(number(12500)).toBe("12.500"));

describe("moments", () => {
  const evening = "2026-11-27T17:30:00Z";

  it.each([
    ["Asia/Jakarta", "28 Nov 2026 00.30 WIB"],
    ["Asia/Makassar", "28 Nov 2026 01.30 WITA"],
    ["Asia/Jayapura", "28 Nov 2026 02.30 WIT"],
  ])("are written in %s", (zone, text) => expect(moment(evening, "id", zone)).toBe(text));

  it("are written in Jakarta's zone outside Indonesia", () => {
    expect(readerZone("Europe/Berlin")).toBe("Asia/Jakarta");
    expect(readerZone("Asia/Makassar")).toBe("Asia/Makassar");
  });
});

describe("days", () => {
  it("are days in Jakarta", () => {
    expect(day("2026-11-27T17:30:00Z", "id")).toBe("28 Nov 2026");
    expect(isoDay(new Date("2026-11-27T17:30:00Z"))).toBe("2026-11-28");
  });

  it("without a time are the same everywhere", () => expect(day("2026-05-01", "id")).toBe("1 Mei 2026"));

  it("have English names in English", () => expect(day("2026-05-01", "en")).toBe("1 May 2026"));
});

describe("durations", () => {
  it.each([
    [59_000, "0 menit"],
    [3 * 3600_000 + 12 * 60_000, "3 jam 12 menit"],
    [52 * 3600_000, "2 hari 4 jam"],
    [24 * 3600_000, "1 hari"],
    [-90 * 60_000, "1 jam 30 menit"],
  ])("of %s ms read %s", (length, text) => expect(duration(length, "id")).toBe(text));
});

it("numbers of documents and products are parts of a text, names and dates are not", () =>
  expect(cutAtNumbers("ORD-202611-000123: KRN-PRM-08, T-shirt 2026-11-27")).toEqual([
    "",
    "ORD-202611-000123",
    ": ",
    "KRN-PRM-08",
    ", T-shirt 2026-11-27",
  ]));
