import { describe, expect, it } from "vitest";

import { ApiError, errorText, toApiError, unwrap } from "../src/errors";
import { fill, readLanguage } from "../src/i18n";
import en from "../src/texts/en";
import id from "../src/texts/id";

describe("an error", () => {
  it("is explained by its code in the reader's language", () => {
    const error = new ApiError(409, "OUT_OF_STOCK", "There is not enough stock");
    expect(errorText(error, id)).toContain("Stok tidak cukup");
    expect(errorText(error, en)).toContain("not enough stock");
  });

  it("with an unknown code is explained by its status", () =>
    expect(errorText(new ApiError(403, "42501", "permission denied"), id)).toContain("tidak berwenang"));

  it("with an unknown status shows the message of the server", () =>
    expect(errorText(new ApiError(418, "X", "I am a teapot"), en)).toContain("I am a teapot"));

  it("without an answer is a network error that may have been carried out", () => {
    const error = toApiError({ message: "TypeError: fetch failed" }, 0);
    expect(error.code).toBe("NETWORK");
    expect(error.isUnanswered).toBe(true);
    expect(toApiError({ code: "OUT_OF_STOCK" }, 409).isUnanswered).toBe(false);
    expect(toApiError({ code: "INVALID_ARGUMENT" }, 400).isUnanswered).toBe(false);
  });

  it("with an empty code may have been carried out: the gateway lost its connection to the database", () => {
    const error = toApiError({ code: "", message: "" }, 400);
    expect(error.isUnanswered).toBe(true);
    expect(errorText(error, en)).toContain("not available");
  });

  it("of a proxy without JSON says that the service is away", () =>
    expect(errorText(toApiError({ message: "<html>" }, 502), en)).toContain("not available"));

  it("429 states the minutes to wait", () => {
    const error = new ApiError(429, "TOO_MANY_ATTEMPTS", "too many", "retry_after: 540");
    expect(error.retryAfter).toBe(540);
    expect(errorText(error, id)).toContain("9 menit");
  });
});

it("unwrap raises the refusal that postgrest-js returns", async () => {
  const refused = Promise.resolve({ data: null, error: { code: "NOT_FOUND", message: "none" }, status: 404 });
  await expect(unwrap(refused)).rejects.toMatchObject({ code: "NOT_FOUND", status: 404 });
  const answered = Promise.resolve({ data: 5, error: null, status: 200 });
  const data: number = await unwrap(answered);
  expect(data).toBe(5);
});

it("the language is Indonesian unless the cookie says English", () => {
  expect(readLanguage("")).toBe("id");
  expect(readLanguage("a=b; lang=en")).toBe("en");
  expect(readLanguage("slang=en")).toBe("id");
});

it("fill replaces known placeholders only", () => expect(fill("{a} {b}", { a: 1 })).toBe("1 {b}"));
