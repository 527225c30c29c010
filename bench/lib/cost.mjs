import { median } from './summary.mjs';

export const SIZES = ['110 B', '2 KB', '20 KB'];
export const BURSTS = 10;
/** Few enough that a burst fits into everybody's queue as it is by default. */
export const BURST_WRITES = { '110 B': 500, '2 KB': 500, '20 KB': 100 };
export const EVERY_MS = 5;

/** Microseconds a write, of the plain atom and of the peer, and what was lost, by size; `odd` changes who goes first. */
export async function measureCost(visit, { rounds, writes, odd }) {
  const order = odd ? ['peer', 'plain'] : ['plain', 'peer'];
  const costs = {};
  for (const size of SIZES) {
    const lostBefore = visit.lost;
    const bursts = { plain: [], peer: [] };
    for (let round = 0; round <= rounds; round += 1) {
      for (const which of order) {
        const cost = await visit.bursts(which, size, BURSTS, BURST_WRITES[size]);
        // The first warms up the page's compilers.
        if (round > 0) bursts[which].push(cost);
      }
    }
    costs[size] = {};
    for (const which of order) {
      costs[size][which] = {
        inWrite: median(bursts[which].flatMap(({ inWrite }) => inWrite)),
        burstTask: median(bursts[which].map(({ task }) => task)),
        pacedTask: await visit.paced(which, size, writes, EVERY_MS),
      };
    }
    costs[size].lost = visit.lost - lostBefore;
  }
  return costs;
}
