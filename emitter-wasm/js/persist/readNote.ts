import type { LeftNote } from '../session/Note.js';

/** The note of this name; `undefined` when nobody can read what stands there. */
export function readNote(name: string): LeftNote | undefined {
  try {
    const note: LeftNote = JSON.parse(localStorage.getItem(name) ?? '');
    const [url, resource, identity, from, end, reason, at] = note;
    const readable =
      [url, resource].every((text) => typeof text === 'string') &&
      identity.length === 48 &&
      name.length > 0 &&
      [from, end, reason].every(Number.isSafeInteger) &&
      0 <= from &&
      from <= end &&
      Number.isFinite(at);
    return readable ? note : undefined;
  } catch {
    return undefined;
  }
}
