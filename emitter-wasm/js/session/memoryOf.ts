import type { Core } from './Core.js';

/** What crosses at once, in bytes. */
const MOST = 528 * 1024;

/** The module's memory, where bytes cross. */
export interface Memory {
  /** What stands at `output`, until the next call. */
  read(length: number): Uint8Array<ArrayBuffer>;
  /** Puts bytes at `input`, and says how many; 0 when they do not fit, which are as bad as none. */
  write(bytes: Uint8Array): number;
  /** The same for the UTF-8 of a text, from `at` on; -1 when it does not fit. */
  text(text: string, at?: number): number;
  /** Puts numbers where the module takes them. */
  numbers(numbers: Float64Array): void;
}

export function memoryOf(core: Core): Memory {
  const encoder = new TextEncoder();
  // A view each time: the buffer is another one once the module has grown.
  const view = (from: number, length: number) =>
    new Uint8Array(core.memory.buffer as ArrayBuffer, from, length);
  return {
    read: (length) => view(core.output(), length),
    write(bytes) {
      if (bytes.length > MOST) return 0;
      view(core.input(), MOST).set(bytes);
      return bytes.length;
    },
    text(text, at = 0) {
      const { read, written } = encoder.encodeInto(text, view(core.input() + at, MOST - at));
      return read < text.length ? -1 : written;
    },
    numbers: (numbers) => new Float64Array(core.memory.buffer, core.output()).set(numbers),
  };
}
