import { defaultLightTheme, type RaThemeOptions } from "react-admin";

/** Colours whose contrast with white is at least 4.5:1. */
export const theme = {
  ...defaultLightTheme,
  palette: {
    ...defaultLightTheme.palette,
    mode: "light",
    primary: { main: "#6a1b72" },
    secondary: { main: "#4a148c" },
    error: { main: "#b71c1c" },
    text: { primary: "#1d1b20", secondary: "#57535e" },
    background: { default: "#f4f1f6", paper: "#ffffff" },
  },
  sidebar: { width: 220, closedWidth: 50 },
} as RaThemeOptions;
