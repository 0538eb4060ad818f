import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

// A relative base: the console works below any path.
export default defineConfig({
  base: "./",
  plugins: [react()],
  build: { target: "es2022", sourcemap: false, chunkSizeWarningLimit: 2000, manifest: true },
  server: { proxy: { "/api": { target: "http://127.0.0.1:18150", rewrite: (path) => path.replace(/^\/api/, "") } } },
});
