// What the trace pane says while there is no trace to show.

import { h } from './dom.js';

const TRACE_AN_ATOM = `import { atomWithTracing } from 'atomwire/jotai';

const cartAtom = atomWithTracing('cart', []);`;

const CONNECT_THE_APP = `import { startEmitter } from 'atomwire';

startEmitter({
  url: 'ws://${location.host}/v1/stream',
  service: { name: 'my-app' },
});`;

export function waiting(traceId) {
  const text = 'It opens here as soon as its first span arrives, and fills in as more come.';
  return message(h('span', { class: 'pulse' }), 'Waiting for this trace', h('code', {}, traceId), text);
}

function message(picture, title, ...lines) {
  return h(
    'div',
    { class: 'message' },
    picture,
    h('h1', {}, title),
    ...lines.map((line) => (typeof line === 'string' ? h('p', {}, line) : line)),
  );
}

export function welcome() {
  const code = (text) => h('pre', {}, h('code', {}, text));
  const step = (title, ...body) => h('li', {}, h('h2', {}, title), ...body);
  return h(
    'div',
    { class: 'message welcome' },
    h('span', { class: 'pulse' }),
    h('h1', {}, 'Waiting for the first trace'),
    h('p', {}, 'This page shows traces the moment they arrive. There is nothing to reload.'),
    h(
      'ol',
      {},
      step('Trace an atom', code(TRACE_AN_ATOM)),
      step('Connect the app', code(CONNECT_THE_APP)),
      step(
        'Send anything else by OTLP',
        code('OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318'),
        h('p', {}, 'HTTP on port 4318, gRPC on 4317.'),
      ),
    ),
  );
}

export function keyboardHelp() {
  const key = (name, does) => h('div', {}, h('dt', {}, h('kbd', {}, name)), h('dd', {}, does));
  const keys = h(
    'dl',
    { class: 'keys' },
    key('↓ j', 'next'),
    key('↑ k', 'previous'),
    key('Enter', 'open'),
    key('Esc', 'back'),
    key('/', 'filter'),
  );
  return message('', 'Pick a trace', 'Each line is one trace, the newest on top.', keys);
}
