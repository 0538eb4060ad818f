import { expect, it } from "vitest";

import { createClient } from "../src/client";

// Compiled by `tsc`: each @ts-expect-error is an error that the types must find.
const client = createClient("https://hub.example/api", { fetch });

function accepted() {
  return [
    client
      .from("orders")
      .select("order_number, grand_total, status, order_items(quantity, products(sku, name)), invoices(amount_due)")
      .eq("status", "SHIPPED"),
    client.rpc("submit_order", { items: [], points: 0, idempotency_key: "k", expected_total: 1 }),
    client.rpc("quote_order", { items: [] }),
  ];
}

function refused() {
  return [
    // @ts-expect-error there is no such view
    client.from("passwords").select(),
    // @ts-expect-error there is no such status
    client.from("orders").select().eq("status", "LOST"),
    // @ts-expect-error a reason is a text
    client.rpc("cancel_order", { order_id: "x", reason: 5 }),
    // @ts-expect-error there is no such argument
    client.rpc("cancel_order", { order: "x" }),
  ];
}

export async function columns() {
  const { data } = await client.from("orders").select("order_number, order_items(quantity)").limit(1);
  const text: string | undefined = data?.[0]?.order_number;
  const quantity: number | undefined = data?.[0]?.order_items[0]?.quantity;
  // @ts-expect-error the column was not selected
  const missing = data?.[0]?.grand_total;
  return [text, quantity, missing];
}

it("the typed client names the calls of the schema", () => {
  expect(accepted()).toHaveLength(3);
  expect(refused()).toHaveLength(4);
});
