import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';

/** How the console is built: static files, with nothing inline, because the policy of its pages allows nothing inline. */
export default defineConfig({
  root: import.meta.dirname,
  plugins: [react()],
  build: {
    outDir: '../../dist/console',
    emptyOutDir: true,
    manifest: true,
    // Small files would become `data:` addresses.
    assetsInlineLimit: 0,
    target: ['chrome123', 'firefox128', 'safari17.5'],
    reportCompressedSize: false,
  },
  css: { modules: { localsConvention: 'camelCaseOnly' } },
});
