import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vitest/config';

// The binary embeds `dist/` and serves it under a Content-Security-Policy without inline script or style: no polyfill
// script in the page, no small asset as a data: address.
export default defineConfig({
  plugins: [svelte()],
  build: {
    target: 'es2022',
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    reportCompressedSize: true,
  },
  server: { proxy: { '/api': process.env['ROOTSPAN_URL'] ?? 'http://127.0.0.1:16686' } },
  test: { include: ['src/**/*.test.ts'] },
});
