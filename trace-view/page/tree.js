// From a trace's spans to rows: parents before children, siblings by start time. Nothing is taken on
// trust: parents may be missing, circular, or on a clock that is ahead of their children's.

import { duration } from './format.js';

/**
 * @typedef {object} Row
 * @property {object} span as the API gives it
 * @property {object} source resource and scope, as the API gives them
 * @property {number} depth
 * @property {Row | undefined} parent
 * @property {Row[]} children
 * @property {boolean} orphan its parent is named, but not (or not properly) in this trace
 * @property {number} start nanoseconds since the trace's start
 * @property {number} length in nanoseconds, never negative
 * @property {number} wait from its parent's end to its own start, or 0
 * @property {number} ahead how long before its parent it claims to have started, or 0
 * @property {boolean} reversed it claims to have ended before it started
 */

/** @returns {{ rows: Row[], start: bigint, total: number }} rows in the order of drawing */
export function buildTree(trace) {
  // The API gives spans by start time.
  const start = BigInt(trace.spans[0].start);
  const rows = trace.spans.map((span) => toRow(span, trace.sources[span.source], start));
  const byId = new Map(rows.map((row) => [row.span.spanId, row]));
  for (const row of rows) {
    const parent = byId.get(row.span.parentSpanId);
    if (parent === undefined || parent === row) continue;
    row.parent = parent;
    parent.children.push(row);
  }
  for (const row of rows) row.children.sort((a, b) => a.start - b.start);

  const drawn = new Set();
  const order = [];
  const roots = rows.filter((row) => row.parent === undefined).sort((a, b) => a.start - b.start);
  for (const root of roots) {
    root.orphan = root.span.parentSpanId !== null;
    draw(root, order, drawn);
  }
  // What is left hangs on a circle of parents: cut it at the span that started first.
  for (const row of rows.filter((row) => !drawn.has(row)).sort((a, b) => a.start - b.start)) {
    if (drawn.has(row)) continue;
    row.parent.children = row.parent.children.filter((child) => child !== row);
    row.parent = undefined;
    row.orphan = true;
    draw(row, order, drawn);
  }
  for (const row of order) relate(row);
  const total = Math.max(...order.map((row) => row.start + row.length), 1);
  return { rows: order, start, total };
}

/** What is odd about the row, in words. */
export function problems(row) {
  const found = [];
  if (row.orphan) found.push('its parent span has not been received');
  if (row.ahead > 0) found.push(`starts ${duration(row.ahead)} before its parent: their clocks differ`);
  if (row.reversed) found.push('ends before it starts');
  return found;
}

function toRow(span, source, traceStart) {
  const start = Number(BigInt(span.start) - traceStart);
  const length = Number(BigInt(span.end) - BigInt(span.start));
  return {
    span,
    source,
    depth: 0,
    parent: undefined,
    children: [],
    orphan: false,
    start,
    length: Math.max(length, 0),
    wait: 0,
    ahead: 0,
    reversed: length < 0,
  };
}

// With a stack of its own: a chain of thousands of spans must not end the script.
function draw(root, order, drawn) {
  const stack = [root];
  while (stack.length > 0) {
    const row = stack.pop();
    if (drawn.has(row)) continue;
    drawn.add(row);
    order.push(row);
    row.depth = row.parent === undefined ? 0 : row.parent.depth + 1;
    for (const child of row.children.toReversed()) stack.push(child);
  }
}

function relate(row) {
  if (row.parent === undefined) return;
  row.wait = Math.max(row.start - (row.parent.start + row.parent.length), 0);
  row.ahead = Math.max(row.parent.start - row.start, 0);
}
