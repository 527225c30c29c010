// npm run bench:size: what a visitor downloads, bundled by Vite as an app's own bundler does it.

import { parseArgs } from 'node:util';
import { bundle, weigh } from './lib/bundle.mjs';
import { Report } from './lib/Report.mjs';

const ATOMWIRE = `
  export { startEmitter } from 'atomwire';
  export { atomWithTracing } from 'atomwire/jotai';`;
const FARO = `export { getWebInstrumentations, initializeFaro } from '@grafana/faro-web-sdk';`;
const PEERS = {
  'OpenTelemetry web SDK, batches, OTLP/HTTP JSON': `
    export { SpanKind, SpanStatusCode } from '@opentelemetry/api';
    export { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
    export { resourceFromAttributes } from '@opentelemetry/resources';
    export { BatchSpanProcessor, WebTracerProvider } from '@opentelemetry/sdk-trace-web';`,
  'Grafana Faro': FARO,
  'Grafana Faro with tracing': `${FARO} export { TracingInstrumentation } from '@grafana/faro-web-tracing';`,
  'Sentry with tracing': `export { browserTracingIntegration, init, startSpan } from '@sentry/browser';`,
};

const { values: flags } = parseArgs({ options: { save: { type: 'boolean', default: false } } });
const report = new Report();

const kb = (bytes) => (bytes / 1000).toFixed(2);

function row(name, files) {
  const raw = files.reduce((sum, { bytes }) => sum + bytes.length, 0);
  const zipped = files.reduce((sum, { gzip }) => sum + gzip, 0);
  report.say(`| ${name} | ${kb(raw)} | ${kb(zipped)} |`);
}

report.say('| | minified, kB | gzip, kB |', '| --- | --- | --- |');
const files = await bundle(ATOMWIRE);
const part = (wanted) => files.filter(({ when }) => when === wanted);
row('**atomwire: `startEmitter` and `atomWithTracing`**', [...part('entry'), ...part('lazy')]);
row('of it: in the app’s own chunk', part('entry'));
row('of it: loaded by itself when the page works', part('lazy'));
row('not in it: loaded where earlier pages left something, or `persist` asks', part('on demand'));
row(
  '**the same with `traced`**',
  (await bundle(`${ATOMWIRE} export { traced } from 'atomwire/jotai';`)).filter(
    ({ when }) => when !== 'on demand',
  ),
);
const own = weigh(files).loads;
const ratios = [];
for (const [name, source] of Object.entries(PEERS)) {
  const peer = await bundle(source);
  row(`**${name}**`, peer);
  ratios.push(`${name} ${(weigh(peer).loads / own).toFixed(1)}`);
}
report.say('', `Times atomwire’s, gzip: ${ratios.join('; ')}`);
if (flags.save) report.save('size');
