import { Box, TextField, Typography } from "@mui/material";
import { useState } from "react";

import { useWords } from "../components/hub";
import { Numbers } from "../components/Numbers";
import { type Row, returnedItems } from "./actions";

/** The lines of an order, with a number of units to return for each. */
export function ReturnItems({ order, change }: { order: Row; change: (items: unknown) => void }) {
  const { t } = useWords();
  const [quantities, setQuantities] = useState<Record<string, string>>({});
  const enter = (sku: string, quantity: string) => {
    const next = { ...quantities, [sku]: quantity };
    setQuantities(next);
    change(returnedItems(next));
  };
  const isEmpty = returnedItems(quantities).length === 0;
  return (
    <Box component="fieldset" sx={{ border: 1, borderColor: "divider", borderRadius: 1, m: 0, p: 1.5 }}>
      <Typography component="legend" variant="body2" sx={{ px: 0.5 }}>
        {t("hub.input.items")}
      </Typography>
      {((order.order_items ?? []) as Row[]).map((line) => {
        const left = Number(line.quantity) - Number(line.returned_quantity);
        const { sku, name } = (line.products ?? {}) as { sku: string; name: string };
        return (
          <Box key={line.id} sx={{ display: "flex", gap: 2, alignItems: "center", mb: 1 }}>
            <Typography variant="body2" sx={{ flex: 1 }}>
              <Numbers text={`${sku} ${name}`} />
            </Typography>
            <TextField
              size="small"
              type="number"
              label={t("hub.input.returnable", { count: left })}
              value={quantities[sku] ?? ""}
              disabled={left === 0}
              onChange={(event) => enter(sku, event.target.value)}
              slotProps={{ htmlInput: { min: 0, max: left, step: 1, "aria-label": `${sku} ${name}` } }}
              sx={{ width: 180 }}
            />
          </Box>
        );
      })}
      {isEmpty ? (
        <Typography variant="caption" color="text.secondary">
          {t("hub.input.nothing")}
        </Typography>
      ) : null}
    </Box>
  );
}
