/** A Ping frame of the protocol: the module makes its own when nothing was heard for long. */
export function pingOf(time: number): Uint8Array<ArrayBuffer> {
  const varint: number[] = [];
  for (let rest = Math.floor(time); rest > 0; rest = Math.floor(rest / 128)) {
    varint.push((rest % 128) + (rest > 127 ? 128 : 0));
  }
  return Uint8Array.of(0x22, varint.length + 1, 8, ...varint);
}
