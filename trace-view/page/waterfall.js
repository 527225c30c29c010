// One trace as a tree of bars on a time axis. The keyboard works as in any tree: up and down (or k and
// j), left and right to fold and unfold.

import { h, serviceColour } from './dom.js';
import { duration, ticks } from './format.js';
import { problems } from './tree.js';

/** Deeper spans are not indented any further, so that names keep some room. */
const MAX_INDENT = 12;

/**
 * @param {ReturnType<import('./tree.js').buildTree>} tree
 * @param {{ folded: Set<string>, selected: string, onSelect: (spanId: string) => void,
 *   onFold: (spanId: string) => void }} view
 */
export function waterfall(tree, view) {
  const rows = visible(tree.rows, view.folded);
  const index = new Map(rows.map((row, at) => [row, at]));
  const marks = ticks(tree.total, innerWidth < 700 ? 3 : 6);
  const at = (ns) => `${(ns / tree.total) * 100}%`;
  const treeElement = h(
    'div',
    { class: 'rows', role: 'tree', 'aria-label': 'Spans' },
    ...rows.map((row) => rowElement(row, index, at, view)),
  );
  treeElement.addEventListener('keydown', (event) => onKey(event, rows, view));
  treeElement.addEventListener('click', (event) => {
    const spanId = event.target.closest('[role=treeitem]')?.dataset.span;
    if (spanId === undefined) return;
    if (event.target.closest('.fold')) view.onFold(spanId);
    else view.onSelect(spanId);
  });
  return h(
    'div',
    { class: 'waterfall' },
    h(
      'div',
      { class: 'axis', 'aria-hidden': 'true' },
      h('span', { class: 'axis-name' }, 'Span'),
      h('div', { class: 'track' }, ...marks.map((ns) => tick(ns, at, duration(ns)))),
    ),
    h(
      'div',
      { class: 'grid', 'aria-hidden': 'true' },
      h('div', { class: 'track' }, ...marks.map((ns) => tick(ns, at))),
    ),
    treeElement,
  );
}

/** Moves the selection, and the focus with it. */
export function markSelected(element, spanId) {
  for (const row of element.querySelectorAll('[aria-selected=true]')) setSelected(row, false);
  const row = element.querySelector(`[data-span="${spanId}"]`);
  setSelected(row, true);
  row.focus();
}

function setSelected(row, selected) {
  row.setAttribute('aria-selected', String(selected));
  row.tabIndex = selected ? 0 : -1;
}

function visible(rows, folded) {
  const hidden = new Set();
  return rows.filter((row) => {
    const parent = row.parent;
    if (parent !== undefined && (hidden.has(parent) || folded.has(parent.span.spanId))) hidden.add(row);
    return !hidden.has(row);
  });
}

function tick(ns, at, label) {
  return h('span', { class: 'tick', style: { left: at(ns) } }, label);
}

function rowElement(row, index, at, view) {
  const { span, source } = row;
  const foldable = row.children.length > 0;
  const folded = view.folded.has(span.spanId);
  const selected = view.selected === span.spanId;
  const props = {
    class: `row ${serviceColour(source.service)}`,
    role: 'treeitem',
    tabindex: selected ? 0 : -1,
    'data-span': span.spanId,
    'data-status': span.status,
    'aria-level': row.depth + 1,
    'aria-selected': String(selected),
    'aria-expanded': foldable ? String(!folded) : undefined,
    'aria-label': describe(row),
  };
  return h(
    'div',
    props,
    h(
      'div',
      { class: 'label', style: { '--depth': String(Math.min(row.depth, MAX_INDENT)) } },
      h(
        'span',
        { class: foldable ? 'fold' : 'leaf', 'aria-hidden': 'true' },
        foldable ? (folded ? '▸' : '▾') : '',
      ),
      h(
        'span',
        { class: 'names' },
        h('span', { class: 'name' }, span.name || '(no name)'),
        h('span', { class: 'service' }, h('span', { class: 'dot' }), source.service, kind(span.kind)),
      ),
      ...flags(row),
    ),
    h('div', { class: 'track' }, ...connector(row, index, at), ...bar(row, at)),
  );
}

function kind(name) {
  return name === 'unspecified' ? undefined : h('span', { class: 'kind' }, name);
}

/** The row's accessible name: all that its bar shows. */
function describe(row) {
  const { span, source } = row;
  const parts = [
    span.name,
    source.service,
    span.kind,
    duration(row.length),
    `starts at ${duration(row.start)}`,
  ];
  if (span.status === 'error') parts.push('error');
  return parts.concat(problems(row)).join(', ');
}

function flags(row) {
  const shown = [];
  if (row.span.status === 'error') shown.push(h('span', { class: 'flag error', title: 'error' }, '!'));
  const text = problems(row).join('; ');
  if (text !== '') shown.push(h('span', { class: 'flag odd', title: text }, row.orphan ? '?' : '~'));
  return shown;
}

function bar(row, at) {
  const end = row.start + row.length;
  const events = row.span.detail.events.map((event) => {
    const left = at(Number(BigInt(event.time) - BigInt(row.span.start)) + row.start);
    return h('i', { class: 'event', title: event.name, style: { left } });
  });
  return [
    h('span', { class: 'bar', style: { left: at(row.start), width: at(row.length) } }),
    ...events,
    h('span', { class: 'bar-label', style: { left: at(end) } }, duration(row.length)),
  ];
}

/** The line from the parent's bar: straight down into its child, or by way of the time spent waiting. */
function connector(row, index, at) {
  if (row.parent === undefined || row.ahead > 0) return [];
  const rowsUp = index.get(row) - index.get(row.parent);
  const style = { '--rows': String(rowsUp), left: at(row.start - row.wait), width: at(row.wait) };
  if (row.wait === 0) return [h('span', { class: 'link', style })];
  const title = `starts ${duration(row.wait)} after its parent ended`;
  return [h('span', { class: 'link wait', style, title }, h('span', {}, duration(row.wait)))];
}

function onKey(event, rows, view) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const at = rows.findIndex((row) => row.span.spanId === document.activeElement?.dataset.span);
  const row = rows[at];
  if (row === undefined) return;
  const folded = view.folded.has(row.span.spanId);
  const select = (target) => target !== undefined && view.onSelect(target.span.spanId);
  const fold = () => view.onFold(row.span.spanId);
  const foldable = row.children.length > 0;
  const keys = {
    ArrowDown: () => select(rows[at + 1]),
    j: () => select(rows[at + 1]),
    ArrowUp: () => select(rows[at - 1]),
    k: () => select(rows[at - 1]),
    Home: () => select(rows[0]),
    End: () => select(rows.at(-1)),
    ArrowRight: () => (foldable && folded ? fold() : select(row.children[0])),
    ArrowLeft: () => (foldable && !folded ? fold() : select(row.parent)),
  };
  const action = keys[event.key];
  if (action === undefined) return;
  event.preventDefault();
  action();
}
