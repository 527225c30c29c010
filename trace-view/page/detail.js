// Everything about one span.

import { copyable, h, serviceColour } from './dom.js';
import { duration, timestamp } from './format.js';
import { problems } from './tree.js';

/**
 * @param {import('./tree.js').Row} row
 * @param {(spanId: string) => void} onSelect
 */
export function spanDetail(row, onSelect) {
  const { span, source } = row;
  const { detail } = span;
  return h(
    'section',
    { class: `detail ${serviceColour(source.service)}`, 'aria-label': 'Span details' },
    h(
      'header',
      {},
      h('h2', {}, span.name || '(no name)'),
      h(
        'p',
        { class: 'badges' },
        h('span', { class: 'chip' }, h('span', { class: 'dot' }), source.service),
        h('span', { class: 'badge' }, span.kind),
        span.status !== 'unset' && h('span', { class: `badge ${span.status}` }, span.status),
        h('span', { class: 'muted' }, `${duration(row.length)} · starts at ${duration(row.start)}`),
      ),
    ),
    detail.statusMessage !== '' && h('p', { class: 'note error' }, detail.statusMessage),
    ...problems(row).map((problem) => h('p', { class: 'note' }, capital(problem))),
    h(
      'div',
      { class: 'columns' },
      h(
        'div',
        {},
        attributeTable('Attributes', detail.attributes, dropped(detail.droppedAttributes)),
        ...events(row),
        ...links(detail),
      ),
      h(
        'div',
        {},
        table('Span', [
          ['span id', copyable(span.spanId, 'span id')],
          ['parent', parentLink(row, onSelect)],
          ['started', timestamp(span.start)],
          ['ended', timestamp(span.end)],
          ['scope', [source.scope.name, source.scope.version].filter(Boolean).join(' ') || 'none'],
          detail.traceState !== '' && ['tracestate', detail.traceState],
          detail.cutStrings > 0 && ['shortened', `${detail.cutStrings} long texts`],
        ]),
        attributeTable('Resource', source.resource),
        source.scope.attributes.length > 0 && attributeTable('Scope', source.scope.attributes),
      ),
    ),
  );
}

function parentLink(row, onSelect) {
  const { parentSpanId } = row.span;
  if (parentSpanId === null) return 'none: this is the root';
  if (row.parent === undefined) return `${parentSpanId} (not received)`;
  const select = () => onSelect(parentSpanId);
  return h('button', { class: 'plain', type: 'button', on: { click: select } }, row.parent.span.name);
}

function events(row) {
  const { events, droppedEvents } = row.span.detail;
  if (events.length === 0 && droppedEvents === 0) return [];
  const items = events.map((event) => {
    const offset = Number(BigInt(event.time) - BigInt(row.span.start));
    const title = h('p', {}, h('b', {}, event.name), ` at ${duration(offset)}`);
    return h('li', {}, title, event.attributes.length > 0 && attributeRows(event.attributes));
  });
  return [heading('Events', dropped(droppedEvents)), h('ol', { class: 'items' }, ...items)];
}

function links({ links, droppedLinks }) {
  if (links.length === 0 && droppedLinks === 0) return [];
  const items = links.map(({ traceId, spanId, attributes }) => {
    const id = `${traceId ?? 'invalid trace id'} / ${spanId ?? 'invalid span id'}`;
    const target =
      traceId === null ? h('code', {}, id) : h('a', { href: `/traces/${traceId}` }, h('code', {}, id));
    return h('li', {}, h('p', {}, target), attributes.length > 0 && attributeRows(attributes));
  });
  return [heading('Links', dropped(droppedLinks)), h('ol', { class: 'items' }, ...items)];
}

function attributeTable(title, attributes, note) {
  const body = attributes.length > 0 ? attributeRows(attributes) : h('p', { class: 'muted' }, 'None');
  return h('div', {}, heading(title, note), body);
}

function attributeRows(attributes) {
  return rows(
    attributes.map(({ key, type, value }) => [key, h('code', { class: `value ${type}` }, text(value))]),
  );
}

function table(title, entries) {
  return h('div', {}, heading(title), rows(entries.filter(Boolean)));
}

function rows(entries) {
  const lines = entries.map(([name, value]) =>
    h('tr', {}, h('th', { scope: 'row' }, name), h('td', {}, value)),
  );
  return h('table', {}, h('tbody', {}, ...lines));
}

function heading(title, note) {
  return h('h3', {}, title, note !== undefined && h('span', { class: 'muted' }, ` ${note}`));
}

function dropped(count) {
  return count > 0 ? `(${count} more were dropped by the sender)` : undefined;
}

/** Strings that hold a JSON object or array, as atom values do, are laid out to be read. */
function text(value) {
  if (typeof value !== 'string') return value === null ? 'empty' : JSON.stringify(value, null, 2);
  if (!/^\s*[[{]/.test(value)) return value;
  try {
    return JSON.stringify(JSON.parse(value), null, 2);
  } catch {
    return value;
  }
}

function capital(sentence) {
  return `${sentence[0].toUpperCase()}${sentence.slice(1)}.`;
}
