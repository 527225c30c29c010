// The tables of bench:write, as lines of Markdown. `results` has each peer's pages in the order of their runs.

import { SIZES } from './cost.mjs';
import { median, spread, summary } from './summary.mjs';
import { head, row } from './table.mjs';
import { SIZES as WIRE_SIZES } from './wire.mjs';

export const STRINGIFY = 'stringify';
/** With what rows and the plot call them. */
export const PEERS = {
  [STRINGIFY]: 'JSON.stringify alone',
  socket: 'a bare WebSocket',
  atomwire: 'atomwire',
  opentelemetry: 'OpenTelemetry',
  faro: 'Faro',
  sentry: 'Sentry',
};
const COSTS = {
  inWrite: { title: 'in the write', digits: 2 },
  burstTask: { title: 'main thread, bursts', digits: 2 },
  pacedTask: { title: 'main thread, paced', digits: 0 },
};

export function costTable(results) {
  const titles = Object.values(COSTS).map(({ title }) => title);
  const lines = head('value', 'atom', ...titles, 'lost');
  for (const size of SIZES) {
    const cells = (values) =>
      Object.entries(COSTS).map(([cost, { digits }]) => summary(values(cost), digits));
    const pages = Object.values(results).flat();
    lines.push(row(size, 'plain', ...cells((cost) => pages.map(({ costs }) => costs[size].plain[cost])), ''));
    for (const [peer, runs] of Object.entries(results)) {
      const lost = runs.reduce((sum, { costs }) => sum + costs[size].lost, 0);
      lines.push(
        row(
          size,
          `+ ${PEERS[peer]}`,
          ...cells((cost) => added(results, peer, size, cost)),
          peer === STRINGIFY ? '' : lost,
        ),
      );
    }
  }
  return lines;
}

/** What is added, by what JSON.stringify alone adds. */
export function ratioTable(results) {
  const peers = Object.keys(results).filter((peer) => peer !== STRINGIFY);
  const costs = ['inWrite', 'burstTask'];
  const lines = head('× JSON.stringify alone', ...costs.map((cost) => COSTS[cost].title));
  for (const size of SIZES) {
    for (const peer of peers) {
      const cells = costs.map((cost) => {
        const [own, least] = [peer, STRINGIFY].map((each) => median(added(results, each, size, cost)));
        return (own / least).toFixed(1);
      });
      lines.push(row(`${size}, ${PEERS[peer]}`, ...cells));
    }
  }
  return lines;
}

export function byteTable(bytes) {
  const lines = head('value', 'sent by', 'in a stream', 'of it bodies', 'alone', 'of it bodies');
  for (const size of WIRE_SIZES) {
    for (const [peer, ways] of Object.entries(bytes)) {
      const cells = [ways[size].stream, ways[size].lone].flatMap(({ all, bodies }) => [
        all.toFixed(0),
        bodies > 0 ? bodies.toFixed(0) : '',
      ]);
      lines.push(row(size, PEERS[peer], ...cells));
    }
  }
  return lines;
}

/** For the plot: a panel for each cost, in it a group for each size, in it a spread for each peer. */
export function panels(results) {
  return Object.entries(COSTS).map(([cost, { title }]) => ({
    title,
    groups: SIZES.map((name) => ({
      name,
      spreads: Object.keys(results).map((peer) => spread(added(results, peer, name, cost))),
    })),
  }));
}

/** What each page's peer took, less what the plain atom of the same page took. */
function added(results, peer, size, cost) {
  return results[peer].map(({ costs }) => costs[size].peer[cost] - costs[size].plain[cost]);
}
