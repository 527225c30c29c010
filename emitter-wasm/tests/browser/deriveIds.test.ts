import { expect, test } from 'vitest';
import vectors from '../../../wire/vectors/ids.json';
import { deriveIds } from '../peer/deriveIds.ts';

test.each(vectors)('the golden vectors under $id_seed', ({ id_seed, ids }) => {
  const seed = Uint8Array.from(id_seed.match(/../g) ?? [], (byte) => Number.parseInt(byte, 16));
  for (const { position, trace_id, span_id } of ids) {
    expect(deriveIds(seed, position)).toEqual({ traceId: trace_id, spanId: span_id });
  }
});
