/**
 * Trace and span ids as wire/PROTOCOL.md derives them, written from D. J. Bernstein's description of ChaCha
 * and not from the Rust: the two must agree on their own.
 */
export function deriveIds(seed: Uint8Array, position: number): { traceId: string; spanId: string } {
  // Two positions share a block of 64 bytes.
  const block = chacha12(seed, BigInt(position) / 2n);
  const at = (position % 2) * 32;
  return { traceId: hex(block.subarray(at, at + 16)), spanId: hex(block.subarray(at + 16, at + 24)) };
}

function chacha12(key: Uint8Array, counter: bigint): Uint8Array {
  const input = new DataView(new ArrayBuffer(64));
  for (const [index, byte] of new TextEncoder().encode('expand 32-byte k').entries())
    input.setUint8(index, byte);
  for (const [index, byte] of key.entries()) input.setUint8(16 + index, byte);
  input.setBigUint64(48, counter, true);
  const words = Array.from({ length: 16 }, (_, index) => input.getUint32(4 * index, true));
  const state = Uint32Array.from(words);
  for (let round = 0; round < 12; round += 2) {
    for (let i = 0; i < 4; i++) quarterRound(state, i, 4 + i, 8 + i, 12 + i);
    for (let i = 0; i < 4; i++)
      quarterRound(state, i, 4 + ((i + 1) % 4), 8 + ((i + 2) % 4), 12 + ((i + 3) % 4));
  }
  const output = new DataView(new ArrayBuffer(64));
  for (const [index, word] of words.entries()) output.setUint32(4 * index, (state[index] ?? 0) + word, true);
  return new Uint8Array(output.buffer);
}

function quarterRound(state: Uint32Array, a: number, b: number, c: number, d: number): void {
  const step = (to: number, from: number, rotated: number, bits: number) => {
    state[to] = (state[to] ?? 0) + (state[from] ?? 0);
    const mixed = (state[rotated] ?? 0) ^ (state[to] ?? 0);
    state[rotated] = (mixed << bits) | (mixed >>> (32 - bits));
  };
  step(a, b, d, 16);
  step(c, d, b, 12);
  step(a, b, d, 8);
  step(c, d, b, 7);
}

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
