import type { LeftNote } from '../session/Note.js';

/** The note of this name; `undefined` when nobody can read what stands there. */
export function readNote(name: string): LeftNote | undefined {
  try {
    const note: LeftNote = JSON.parse(localStorage.getItem(name) ?? '');
    const half = name.slice(-32);
    const [url, resource, seed, from, end, reason, at] = note;
    const readable =
      [url, resource].every((text) => typeof text === 'string') &&
      seed.length === 32 &&
      seed.slice(0, 16).every((byte, at) => byte === Number.parseInt(half.slice(2 * at, 2 * at + 2), 16)) &&
      [from, end, reason].every(Number.isSafeInteger) &&
      0 <= from &&
      from <= end &&
      Number.isFinite(at);
    return readable ? note : undefined;
  } catch {
    return undefined;
  }
}
