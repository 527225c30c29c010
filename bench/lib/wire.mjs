import { EVERY_MS } from './cost.mjs';

export const SIZES = ['counter', '110 B'];
export const STREAM_WRITES = 400;
export const LONE_WRITES = 10;

/** Bytes that an update took on its way, by size: in a stream of one write each 5 ms, and alone. */
export async function measureWire(visit, { sent, bodies }) {
  const per = async (writes, work) => {
    const before = { all: sent(), bodies: bodies() };
    await work();
    return { all: (sent() - before.all) / writes, bodies: (bodies() - before.bodies) / writes };
  };
  const bytes = {};
  for (const size of SIZES) {
    // Keys, and what a peer says once, are not an update's.
    await visit.paced('peer', size, 1, EVERY_MS);
    const stream = await per(STREAM_WRITES, () => visit.paced('peer', size, STREAM_WRITES, EVERY_MS));
    const lone = await per(LONE_WRITES, async () => {
      for (let write = 0; write < LONE_WRITES; write += 1) await visit.paced('peer', size, 1, EVERY_MS);
    });
    bytes[size] = { stream, lone };
  }
  return bytes;
}
