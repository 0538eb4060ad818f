import { isoDay } from "@alfa-hub/common/format";
import { newKey } from "@alfa-hub/common/keys";
import { Box, Button, Stack, TextField, Typography } from "@mui/material";
import { useState } from "react";
import { useNotify, useRefresh } from "react-admin";

import { type Row, startOfDay } from "../actions/actions";
import { ofTier, type Period, schedule, stateOf, timeline, unschedule } from "../actions/schedule";
import { FormDialog } from "../components/FormDialog";
import { useSubmit } from "../components/failing";
import { Table, useNow } from "../components/fields";
import { useProvider, useWords } from "../components/hub";
import { heldPress } from "../components/press";
import { QueryPart, useAllRows } from "../components/query";
import { AuditLink } from "../components/ShowPage";
import { sentence } from "../provider/failure";
import { TIERS } from "./partners";

const DAY = 86_400_000;

/** What each tier pays and will pay: a bar of time per tier, and the periods in words below it. */
export function PriceTimeline({ product }: { product: Row }) {
  const { t } = useWords();
  const query = useAllRows("tier_prices", { field: "effective_from", order: "DESC" }, { product_id: product.id });
  return (
    <QueryPart title={t("hub.product.timeline")} query={query}>
      {(rows) =>
        TIERS.map((tier) => (
          <TierTimeline
            key={tier}
            tier={tier}
            product={product}
            periods={ofTier(rows, tier)}
            reload={() => void query.refetch()}
          />
        ))
      }
    </QueryPart>
  );
}

interface TierProps {
  tier: string;
  product: Row;
  periods: Period[];
  reload: () => void;
}

function TierTimeline({ tier, product, periods, reload }: TierProps) {
  const { t, money, number, day } = useWords();
  const now = useNow();
  const [isAdding, setAdding] = useState(false);
  const starts = periods.map((period) => Date.parse(period.effective_from)).filter((time) => time > now);
  const from = now - 30 * DAY;
  const until = Math.max(now + 90 * DAY, ...starts.map((time) => time + 30 * DAY));
  const current = periods.filter((period) => stateOf(period, now) !== "ended");
  const past = periods.filter((period) => stateOf(period, now) === "ended");
  const tierName = t(`hub.tier.${tier}`);
  const discount = (period: Period) =>
    period.min_qty_discount ? t("hub.product.from_qty", { price: money(period.discount_price), quantity: number(period.min_qty_discount) }) : "";
  return (
    <Box sx={{ mb: 3 }}>
      <Stack direction="row" sx={{ justifyContent: "space-between", alignItems: "center", mb: 0.5 }}>
        <Typography component="h3" variant="subtitle1">
          {tierName}
        </Typography>
        <Button size="small" variant="outlined" {...heldPress} onClick={() => setAdding(true)} aria-label={`${t("hub.product.add")}: ${tierName}`}>
          {t("hub.product.add")}
        </Button>
      </Stack>
      <Bar periods={periods} from={from} until={until} now={now} basePrice={product.base_price} />
      <Table
        label={`${t("hub.product.timeline")} ${tierName}`}
        rows={current}
        keyOf={(period) => period.id}
        columns={[
          [t("resources.tier_prices.fields.status"), (period) => t(`hub.product.${stateOf(period, now)}`)],
          [t("resources.tier_prices.fields.price"), (period) => money(period.price), true],
          [t("resources.tier_prices.fields.discount_price"), discount],
          [t("resources.tier_prices.fields.effective_from"), (period) => day(period.effective_from)],
          [t("resources.tier_prices.fields.effective_until"), (period) => day(period.effective_until) || "–"],
          [
            t("resources.tier_prices.fields.action"),
            (period) => (
              <>
                {stateOf(period, now) === "scheduled" ? <Unschedule period={period} periods={periods} reload={reload} /> : null}{" "}
                <AuditLink table="tier_prices" id={period.id} />
              </>
            ),
          ],
        ]}
      />
      {past.length > 0 ? (
        <Box component="details" sx={{ mt: 1 }}>
          <Typography component="summary" variant="body2">
            {t("hub.product.history")} ({past.length})
          </Typography>
          <Table
            label={`${t("hub.product.history")} ${tierName}`}
            rows={past}
            keyOf={(period) => period.id}
            columns={[
              [t("resources.tier_prices.fields.price"), (period) => money(period.price), true],
              [t("resources.tier_prices.fields.effective_from"), (period) => day(period.effective_from)],
              [t("resources.tier_prices.fields.effective_until"), (period) => day(period.effective_until)],
            ]}
          />
        </Box>
      ) : null}
      {isAdding ? <NewPrice tier={tier} product={product} periods={periods} close={() => setAdding(false)} reload={reload} /> : null}
    </Box>
  );
}

interface BarProps {
  periods: Period[];
  from: number;
  until: number;
  now: number;
  basePrice: number;
}

/** The bar repeats what the table says, for the eye. */
function Bar({ periods, from, until, now, basePrice }: BarProps) {
  const { t, money } = useWords();
  const share = (time: number) => `${(100 * (time - from)) / (until - from)}%`;
  return (
    <Box aria-hidden sx={{ position: "relative", display: "flex", height: 34, mb: 1, borderRadius: 1, overflow: "hidden", border: 1, borderColor: "divider" }}>
      {timeline(periods, from, until).map((stretch) => {
        const state = stretch.period ? stateOf(stretch.period, now) : undefined;
        const colour = state === "running" ? "#c8e6c9" : state === "scheduled" ? "#bbdefb" : state === "ended" ? "#e0e0e0" : "#fff8e1";
        const price = stretch.period?.price ?? basePrice;
        return (
          <Box
            key={stretch.from}
            title={stretch.period ? "" : t("hub.product.base")}
            sx={{
              width: `${(100 * (stretch.until - stretch.from)) / (until - from)}%`,
              bgcolor: colour,
              borderRight: 1,
              borderColor: "divider",
              px: 0.5,
              fontSize: "0.75rem",
              lineHeight: "32px",
              whiteSpace: "nowrap",
              overflow: "hidden",
            }}
          >
            {money(price)} {stretch.period ? "" : `(${t("hub.product.base")})`}
          </Box>
        );
      })}
      <Box sx={{ position: "absolute", left: share(now), top: 0, bottom: 0, borderLeft: "2px solid #b71c1c" }} />
    </Box>
  );
}

function Unschedule({ period, periods, reload }: { period: Period; periods: Period[]; reload: () => void }) {
  const { t, money } = useWords();
  const provider = useProvider();
  const notify = useNotify();
  const run = async () => {
    try {
      const rows = unschedule(periods, period);
      if (rows) await provider.upsert("tier_prices", rows);
      else await provider.delete("tier_prices", { id: period.id, previousData: period });
      notify("hub.product.unschedule_about", { type: "success" });
    } catch (error) {
      notify(sentence(error), { type: "error" });
    }
    reload();
  };
  return (
    <Button size="small" color="error" sx={{ whiteSpace: "nowrap" }} onClick={() => void run()} aria-label={`${t("hub.product.unschedule")}: ${money(period.price)}`}>
      {t("hub.product.unschedule")}
    </Button>
  );
}

function NewPrice({ tier, product, periods, close, reload }: TierProps & { close: () => void }) {
  const { t } = useWords();
  const provider = useProvider();
  const notify = useNotify();
  const refresh = useRefresh();
  const tomorrow = isoDay(new Date(Date.now() + DAY));
  const [values, setValues] = useState({ effective_from: tomorrow, price: "", min_qty_discount: "", discount_price: "" });
  const { failure, isSending, submit } = useSubmit();
  const [rowId] = useState(newKey);
  const input = (name: keyof typeof values, type: string, isRequired = false) => (
    <TextField
      label={t(`hub.input.${name}`)}
      type={type}
      required={isRequired}
      value={values[name]}
      onChange={(event) => setValues({ ...values, [name]: event.target.value })}
      slotProps={{
        ...(type === "date" ? { inputLabel: { shrink: true } } : {}),
        htmlInput: type === "date" ? { min: tomorrow } : { min: name === "min_qty_discount" ? 1 : 0, step: name === "min_qty_discount" ? 1 : 0.01 },
      }}
    />
  );
  const save = () =>
    submit(async () => {
      if (Boolean(values.min_qty_discount) !== Boolean(values.discount_price)) {
        throw new Error(t("hub.product.invalid_discount"));
      }
      const price = {
        product_id: String(product.id),
        tier,
        price: Number(values.price),
        min_qty_discount: values.min_qty_discount ? Number(values.min_qty_discount) : null,
        discount_price: values.discount_price ? Number(values.discount_price) : null,
        effective_from: startOfDay(values.effective_from) ?? "",
      };
      try {
        await provider.upsert("tier_prices", schedule(periods, price, rowId));
      } finally {
        reload();
      }
      notify("ra.notification.updated", { type: "success", messageArgs: { smart_count: 1 } });
      close();
      refresh();
    });
  return (
    <FormDialog
      title={t("hub.product.add_title", { tier: t(`hub.tier.${tier}`) })}
      about={t("hub.product.add_about")}
      confirm={t("ra.action.save")}
      isSending={isSending}
      failure={failure?.message ?? ""}
      maxWidth="xs"
      onSubmit={() => void save()}
      onClose={close}
    >
      {input("effective_from", "date", true)}
      {input("price", "number", true)}
      {input("min_qty_discount", "number")}
      {input("discount_price", "number")}
    </FormDialog>
  );
}
