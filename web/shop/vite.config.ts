import { defineConfig } from "vite";

// Relative addresses: the shop works below any path. Development: `npm run dev` with the gateway of `hub up`.
export default defineConfig({
  base: "./",
  build: { target: "es2022", modulePreload: false },
  server: {
    proxy: { "/api": { target: "http://127.0.0.1:18150", rewrite: (path) => path.replace(/^\/api/, "") } },
  },
});
