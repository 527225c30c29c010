// npm run bench:size: what a visitor downloads, bundled by Vite as an app's own bundler does it.

import { gzipSync } from 'node:zlib';
import { build } from 'vite';
import { at } from '../scripts/lib/project.mjs';

const FILE = 'entry.js';

const ATOMWIRE = `
  import { startEmitter } from 'atomwire';
  import { atomWithTracing } from 'atomwire/jotai';
  export { startEmitter, atomWithTracing };`;
const ENTRIES = {
  'atomwire with atomWithTracing': ATOMWIRE,
  'atomwire with atomWithTracing and traced': `${ATOMWIRE} export { traced } from 'atomwire/jotai';`,
  'OpenTelemetry web SDK, batches, OTLP/HTTP JSON': `
    export { WebTracerProvider, BatchSpanProcessor } from '@opentelemetry/sdk-trace-web';
    export { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
    export { resourceFromAttributes } from '@opentelemetry/resources';
    export { SpanKind, SpanStatusCode } from '@opentelemetry/api';`,
};

/** Minified files by name; Jotai and React are the app's own. `split` sets the module's glue apart. */
async function bundle(source, split = false) {
  const entry = {
    name: 'entry',
    resolveId: (id) => (id === FILE ? at('bench', FILE) : undefined),
    load: (id) => (id === at('bench', FILE) ? source : undefined),
  };
  const { output } = await build({
    root: at('bench'),
    configFile: false,
    logLevel: 'error',
    plugins: [entry],
    build: {
      write: false,
      target: 'es2022',
      modulePreload: false,
      assetsInlineLimit: 0,
      rolldownOptions: {
        input: FILE,
        preserveEntrySignatures: 'strict',
        external: /^jotai/,
        output: split ? { codeSplitting: { groups: [{ name: 'glue', test: /dist\/wasm/ }] } } : {},
      },
    },
  });
  return output.map(({ fileName, code, source, isDynamicEntry = false }) => ({
    fileName,
    bytes: Buffer.from(code ?? source),
    // Loaded only by who asks for it.
    onDemand: isDynamicEntry,
  }));
}

const kb = (bytes) => (bytes / 1000).toFixed(2);
const gzip = (bytes) => gzipSync(bytes, { level: 9 }).length;

function row(name, files) {
  const raw = files.reduce((sum, { bytes }) => sum + bytes.length, 0);
  const zipped = files.reduce((sum, { bytes }) => sum + gzip(bytes), 0);
  console.log(`| ${name} | ${kb(raw)} | ${kb(zipped)} |`);
  return zipped;
}

console.log('| | minified, kB | gzip, kB |');
console.log('| --- | --- | --- |');
const sizes = [];
for (const [name, source] of Object.entries(ENTRIES)) {
  const files = await bundle(source);
  sizes.push(
    row(
      `**${name}**`,
      files.filter(({ onDemand }) => !onDemand),
    ),
  );
}
const parts = await bundle(ATOMWIRE, true);
const names = {
  wasm: 'module (.wasm)',
  glue: 'glue (wasm-bindgen)',
  entry: 'face with the Jotai entry',
  persist: 'not counted: what `persist` loads',
};
for (const [part, name] of Object.entries(names)) {
  row(
    `of the first: ${name}`,
    parts.filter((file) => kind(file) === part),
  );
}
console.log(`\nOpenTelemetry to atomwire: ${(sizes[2] / sizes[0]).toFixed(2)}`);

function kind({ fileName, onDemand }) {
  if (onDemand) return 'persist';
  if (fileName.endsWith('.wasm')) return 'wasm';
  return fileName.includes('glue') ? 'glue' : 'entry';
}
