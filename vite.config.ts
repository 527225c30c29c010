import react from '@vitejs/plugin-react';
import { defineConfig, loadEnv } from 'vite';
import { contentSecurityPolicy } from './web-demo/contentSecurityPolicy.ts';

export default defineConfig(({ mode }) => ({
  root: 'web-demo',
  plugins: [react(), contentSecurityPolicy(loadEnv(mode, 'web-demo').VITE_RELAY_URL)],
  // The dev server's pre-bundling would move atomwire's JavaScript away from the .wasm file that it finds by
  // `new URL('….wasm', import.meta.url)`; its modules are served as they are instead. What they import
  // is then not found ahead of time: it is named here, or the page would load twice.
  optimizeDeps: { exclude: ['atomwire'], include: ['jotai/vanilla'] },
}));
