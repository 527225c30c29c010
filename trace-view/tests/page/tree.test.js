// The page's arithmetic, with Node's own test runner: node --test trace-view/tests/page/

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bytes, duration, ticks, timestamp } from '../../page/format.js';
import { buildTree, problems } from '../../page/tree.js';

const START = 1_795_228_244_123_456_789n;

/** A trace of `[id, parent, start, end]`, by start time as the API gives it. */
function trace(...spans) {
  const time = (offset) => String(START + BigInt(offset));
  const toSpan = ([spanId, parentSpanId, start, end]) => {
    return { spanId, parentSpanId, start: time(start), end: time(end), source: 0 };
  };
  return { sources: [{}], spans: spans.toSorted((a, b) => a[2] - b[2]).map(toSpan) };
}

/** The rows as `id` indented by depth, with a mark for orphans. */
function drawn(...spans) {
  const { rows } = buildTree(trace(...spans));
  return rows.map((row) => `${' '.repeat(row.depth)}${row.span.spanId}${row.orphan ? '?' : ''}`);
}

test('parents stand before their children, siblings by start time', () => {
  const rows = drawn(
    ['late', 'root', 8, 9],
    ['root', null, 0, 9],
    ['deep', 'early', 3, 4],
    ['early', 'root', 2, 5],
  );
  assert.deepEqual(rows, ['root', ' early', '  deep', ' late']);
});

test('a missing parent makes an orphan, with its own children under it', () => {
  assert.deepEqual(drawn(['root', null, 0, 9], ['b', 'a', 1, 2], ['c', 'b', 1, 2]), ['root', 'b?', ' c']);
});

test('circles are cut where they start, and every span is drawn once', () => {
  assert.deepEqual(drawn(['self', 'self', 0, 1]), ['self?']);
  const circle = drawn(['a', 'c', 2, 3], ['b', 'a', 1, 3], ['c', 'b', 3, 4], ['leaf', 'c', 5, 6]);
  assert.deepEqual(circle, ['b?', ' c', '  a', '  leaf']);
});

test('a chain of many thousand spans is no problem', () => {
  const spans = Array.from({ length: 20_000 }, (_, at) => [
    `${at}`,
    at === 0 ? null : `${at - 1}`,
    at,
    at + 1,
  ]);
  const { rows } = buildTree(trace(...spans));
  assert.equal(rows.at(-1).depth, 19_999);
});

test('waits, skewed clocks and reversed times are told apart', () => {
  const { rows, total } = buildTree(
    trace(['root', null, 0, 10], ['waits', 'root', 15, 20], ['ahead', 'root', -5, 2], ['back', 'root', 4, 3]),
  );
  const by = Object.fromEntries(rows.map((row) => [row.span.spanId, row]));
  assert.deepEqual([by.root.start, by.waits.wait, by.ahead.ahead, by.back.length], [5, 5, 5, 0]);
  assert.equal(total, 25);
  assert.deepEqual(problems(by.ahead), ['starts 5 ns before its parent: their clocks differ']);
  assert.deepEqual(problems(by.back), ['ends before it starts']);
  assert.deepEqual(problems(by.waits), []);
});

test('a trace without any extent still has an axis', () => {
  assert.equal(buildTree(trace(['only', null, 0, 0])).total, 1);
  assert.deepEqual(ticks(1, 6), [0, 1]);
});

test('numbers read well', () => {
  const cases = [0, 7, 999, 1_000, 182_400, 12_345_678, 999_999_999, 1_250_000_000, 59_999_999_999, 3_723e9];
  const texts = ['0', '7 ns', '999 ns', '1 µs', '182 µs', '12.3 ms', '1 s', '1.25 s', '60 s', '1 h 02 min'];
  assert.deepEqual(cases.map(duration), texts);
  assert.equal(duration(-1_500), '−1.5 µs');
  assert.deepEqual(ticks(21_300_000, 6), [0, 5e6, 10e6, 15e6, 20e6]);
  assert.equal(timestamp('1795228244123456789'), '2026-11-21 02:30:44.123456 UTC');
  assert.equal(timestamp(String(2n ** 64n - 1n)), '2554-07-21 23:34:33.709551 UTC');
  assert.deepEqual([0, 1023, 1536, 12 << 20].map(bytes), ['0 B', '1023 B', '1.5 KiB', '12 MiB']);
});
