// The tables of bench:relay, as lines of Markdown, from what `inTurns` gives.

import { median, summary } from './summary.mjs';
import { head, row } from './table.mjs';

const COLUMNS = [
  { title: 'updates/s', of: ({ rate }) => rate, digits: 0 },
  { title: 'lost', of: ({ lost }) => lost, digits: 0 },
  { title: 'CPU s per million', of: ({ cpu }) => cpu, digits: 2 },
  { title: 'peak MB', of: ({ peak_mb }) => peak_mb, digits: 0 },
  { title: 'p50 ms', of: ({ p50_ms }) => p50_ms, digits: 2 },
  { title: 'p99 ms', of: ({ p99_ms }) => p99_ms, digits: 2 },
  { title: 'spans', of: ({ spans }) => spans, digits: 0 },
  { title: 'spans lost', of: ({ spans_lost }) => spans_lost, digits: 0 },
];

/** The median over all runs of what `of` takes from an outcome. */
export function middle({ outcomes }, of) {
  return median(outcomes.map(of));
}

/** The bare forwarder with frames of the same size in the same load; for those that it was not measured with, of one. */
export function forwarderOf(results, { given }) {
  const peers = results.filter((peer) => peer.given.target === 'forwarder' && sameLoad(peer.given, given));
  return (
    peers.find((peer) => peer.given['per-frame'] === given['per-frame']) ??
    peers.find((peer) => peer.given['per-frame'] === 1)
  );
}

/** A heading and a table for each load. */
export function loadTables(results) {
  const names = new Set(results.map(({ given }) => loadName(given)));
  return [...names].flatMap((name) => [
    `### ${name}`,
    '',
    ...costTable(
      results.filter(({ given }) => loadName(given) === name),
      results,
    ),
    '',
  ]);
}

/** A row for each of `shown`; with `peers`, CPU also as a multiple of the forwarder's. */
export function costTable(shown, peers = []) {
  const titles = COLUMNS.map(({ title }) => title);
  const lines = head('', ...titles, ...(peers.length > 0 ? ['CPU × forwarder'] : []));
  for (const result of shown) {
    const cells = COLUMNS.map(({ of, digits }) => summary(result.outcomes.map(of), digits));
    const ratio = times(result, forwarderOf(peers, result), ({ cpu }) => cpu);
    lines.push(row(result.given.name, ...cells, ...(peers.length > 0 ? [ratio] : [])));
  }
  return lines;
}

/** A row for each target; `columns` have a title, what they take from an outcome, and digits. */
export function targetTable(results, columns) {
  const lines = head('', ...columns.map(({ title }) => title));
  for (const { given, outcomes } of results) {
    lines.push(row(given.name, ...columns.map(({ of, digits }) => summary(outcomes.map(of), digits))));
  }
  return lines;
}

/** How many times `peer`'s median. */
export function times(result, peer, of) {
  return peer && peer !== result ? Number((middle(result, of) / middle(peer, of)).toPrecision(2)) : '';
}

export function loadName({ connections, rate }) {
  const speed = rate ? `${rate.toLocaleString('en')}/s` : 'full speed';
  return `${connections.toLocaleString('en')} connections, ${speed}`;
}

function sameLoad(one, other) {
  return one.connections === other.connections && one.rate === other.rate;
}
