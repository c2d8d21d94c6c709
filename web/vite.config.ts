import { defineConfig } from 'vite';
import solid from 'vite-plugin-solid';

// The page is served under `script-src 'self'; style-src 'self'`: nothing may be inlined.
export default defineConfig({
  root: import.meta.dirname,
  plugins: [solid()],
  build: { target: 'es2022', assetsInlineLimit: 0, modulePreload: { polyfill: false } },
});
