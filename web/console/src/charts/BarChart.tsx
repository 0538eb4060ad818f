import { Box, Typography } from "@mui/material";
import { BarController, BarElement, CategoryScale, Chart, Legend, LinearScale, Tooltip } from "chart.js";
import { useEffect, useRef } from "react";

import { Table } from "../components/fields";
import { useWords } from "../components/hub";

Chart.register(BarController, BarElement, CategoryScale, LinearScale, Legend, Tooltip);
Chart.defaults.animation = false;

const COLOURS = ["#1565c0", "#ef6c00", "#b71c1c", "#6a1b9a", "#2e7d32"];

export interface Series {
  name: string;
  values: number[];
  /** Amounts and counts have scales of their own: "right" for the second. */
  axis?: "left" | "right";
}

interface Props {
  title: string;
  labels: string[];
  /** What the labels are. */
  labelName: string;
  series: Series[];
  format: (value: number) => string;
  isStacked?: boolean;
  height?: number;
}

/** A bar chart, and the same figures as a table for who cannot see it or wants to read. */
export default function BarChart({ title, labels, labelName, series, format, isStacked = false, height = 240 }: Props) {
  const { t, number } = useWords();
  const canvas = useRef<HTMLCanvasElement>(null);
  const written = (one: Series, value: number) => (one.axis === "right" ? number(value) : format(value));

  useEffect(() => {
    if (!canvas.current) return;
    const hasRight = series.some((one) => one.axis === "right");
    const chart = new Chart(canvas.current, {
      type: "bar",
      data: {
        labels,
        datasets: series.map((one, index) => ({
          label: one.name,
          data: one.values,
          backgroundColor: COLOURS[index % COLOURS.length] ?? "#1565c0",
          yAxisID: one.axis === "right" ? "right" : "y",
        })),
      },
      options: {
        maintainAspectRatio: false,
        scales: {
          x: { stacked: isStacked, grid: { display: false } },
          y: { stacked: isStacked, beginAtZero: true, ticks: { callback: (value) => short(Number(value), format) } },
          ...(hasRight
            ? { right: { position: "right", beginAtZero: true, grid: { display: false }, ticks: { precision: 0 } } }
            : {}),
        },
        plugins: {
          legend: { display: series.length > 1 },
          tooltip: {
            callbacks: {
              label: ({ dataset, parsed, datasetIndex }) => {
                const one = series[datasetIndex];
                return `${dataset.label ?? ""}: ${one ? written(one, parsed.y ?? 0) : ""}`;
              },
            },
          },
        },
      },
    });
    return () => chart.destroy();
  });

  return (
    <>
      <Box sx={{ position: "relative", height }}>
        <canvas ref={canvas} role="img" aria-label={title} />
      </Box>
      <Box component="details" sx={{ mt: 1 }}>
        <Typography component="summary" variant="body2">
          {t("hub.reports.table")}
        </Typography>
        <Table
          label={title}
          rows={labels.map((label, index) => ({ label, index }))}
          keyOf={(row) => row.label}
          columns={[
            [labelName, (row) => row.label],
            ...series.map((one): [string, (row: { index: number }) => string, boolean] => [
              one.name,
              (row) => written(one, one.values[row.index] ?? 0),
              true,
            ]),
          ]}
        />
      </Box>
    </>
  );
}

/** Large amounts in millions, so that the axis stays narrow. */
function short(value: number, format: (value: number) => string): string {
  if (Math.abs(value) >= 1e9) return `${format(value / 1e9)} M`;
  return Math.abs(value) >= 1e6 ? `${format(value / 1e6)} jt` : format(value);
}
