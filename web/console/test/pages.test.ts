import { ApiError } from "@alfa-hub/common/errors";
import { describe, expect, test } from "vitest";

import { byMonth, monthName } from "../src/charts/months";
import { configText, configValue } from "../src/pages/configValues";
import { quarantineReason } from "../src/pages/quarantineReason";
import { tree } from "../src/pages/tree";
import { mayAccess, staffRole } from "../src/provider/authProvider";
import en from "../src/texts/en";
import id from "../src/texts/id";

describe("access", () => {
  test("agents read their regions' lists and write none", () => {
    expect(mayAccess("agent", "orders", "list")).toBe(true);
    expect(mayAccess("agent", "partners", "edit")).toBe(false);
    for (const view of ["audit_logs", "messages", "inventory", "system_configs", "agents"]) {
      expect(mayAccess("agent", view, "list"), view).toBe(false);
    }
  });

  test("staff accounts and the history of the configuration are a superadmin's", () => {
    for (const view of ["agents", "system_config_history"]) {
      expect(mayAccess("admin", view, "list")).toBe(false);
      expect(mayAccess("superadmin", view, "list")).toBe(true);
    }
  });

  test("who has a partner's and an agent's account is staff here", () => {
    expect(staffRole(new ApiError(409, "CHOOSE_ROLE", "", "partner, agent"))).toBe("agent");
    expect(staffRole(new ApiError(401, "INVALID_CREDENTIALS", ""))).toBeUndefined();
  });
});

describe("configuration values", () => {
  test.each([
    [18, "12", 12],
    ["FLAG", " BLOCK ", "BLOCK"],
    [[1, 7], "[1, 7, 14]", [1, 7, 14]],
    ["ALWAYS", '{"days": [1]}', { days: [1] }],
  ])("%j takes %s", (before, typed, value) => {
    expect(configValue(before, typed)).toEqual(value);
  });

  test("refuse a list that is none", () => {
    expect(() => configValue([1], "[1, ")).toThrow(SyntaxError);
  });

  test("are shown as they are typed", () => {
    expect(configText("FLAG")).toBe("FLAG");
    expect(configText([1, 7])).toBe("[1,7]");
  });
});

test("a region whose parent the reader does not see is a root", () => {
  const rows = [
    { id: "b", name: "Bandung", parent: "jb" },
    { id: "jb", name: "Jawa Barat", parent: "hidden" },
  ];
  const [root, ...others] = tree(rows, "parent");
  expect(others).toEqual([]);
  expect(root?.row.name).toBe("Jawa Barat");
  expect(root?.children.map((node) => node.row.name)).toEqual(["Bandung"]);
});

describe("why a row of the ERP was refused", () => {
  const texts: Record<string, string> = id.hub.quarantine;
  const t = (key: string, values: object = {}) =>
    Object.entries(values).reduce(
      (text, [name, value]) => text.replace(`%{${name}}`, String(value)),
      texts[key.replace("hub.quarantine.", "")] ?? (values as { _?: string })._ ?? key,
    );

  test.each([
    ["UNKNOWN_SKU", "produk tidak dikenal"],
    ["sku is blank", "sku kosong"],
    ["name is longer than 255 characters", "name lebih dari 255 karakter"],
    ["quantity is not from -1000000000 to 1000000000", "quantity di luar -1000000000 sampai 1000000000"],
    ["several products have this code in Tryton (ids 3, 4)", "beberapa produk memiliki kode ini di Tryton (id 3, 4)"],
    ["a reason of another ERP", "a reason of another ERP"],
  ])("%s", (reason, words) => expect(quarantineReason(reason, t)).toBe(words));
});

test("the lateness of regions is added up by month, oldest first", () => {
  const row = { region_id: "x", reminders: 1, manager_notices: 0, escalations: 2 };
  expect(byMonth([{ ...row, month: "2026-11-01" }, { ...row, month: "2026-10-01" }, { ...row, month: "2026-11-01" }])).toEqual([
    { month: "2026-10-01", reminders: 1, manager_notices: 0, escalations: 2 },
    { month: "2026-11-01", reminders: 2, manager_notices: 0, escalations: 4 },
  ]);
  expect(monthName("2026-11-01", "id")).toBe("Nov 26");
});

test("both languages have the same texts", () => {
  const keys = (value: unknown, path = ""): string[] =>
    typeof value === "object" && value !== null
      ? Object.entries(value).flatMap(([key, one]) => keys(one, `${path}.${key}`))
      : [path];
  expect(keys(en.hub)).toEqual(keys(id.hub));
  expect(Object.keys(en.resources)).toEqual(Object.keys(id.resources));
});
