import type { LeftNote } from '../session/Note.js';
import { readNote } from './readNote.js';
import { type Rescuer, speakFor } from './speakFor.js';

/** No other key of the storage is ours to look at. */
const NAME = /^atomwire:[0-9a-f]{32}$/;
/** A last request may still be under way: what it brings is not lost. */
const GRACE_MS = 2_000;
/** Older than this it is no news any more: it is reported as lost, so that the books close. */
const MAX_AGE_MS = 24 * 3_600_000;
/** No page has spoken to this session's relay for so long that none will. */
const ABANDONED_MS = 30 * MAX_AGE_MS;

/**
 * Closes the books of the sessions that earlier pages left, one after the other, unless another page does.
 * A note goes when the relay has settled all that it speaks of, never because something failed.
 */
export async function recover(rescuer: Rescuer): Promise<void> {
  for (const name of Object.keys(localStorage).filter((name) => NAME.test(name))) {
    await pause(GRACE_MS - age(readNote(name)));
    if (rescuer.signal.aborted) return;
    await navigator.locks.request(name, { ifAvailable: true }, async (lock) => {
      // Now that it is ours: another page may just have been done with it.
      if (lock && localStorage.getItem(name) !== null) await closeBooks(name, rescuer);
    });
  }
}

async function closeBooks(name: string, rescuer: Rescuer): Promise<void> {
  const note = readNote(name);
  if (note === undefined) {
    localStorage.removeItem(name);
    rescuer.diagnose('recovery_failed', `${name} in localStorage is nothing that this package wrote`);
  } else if (note[0] !== rescuer.url) {
    if (age(note) > ABANDONED_MS) localStorage.removeItem(name);
  } else {
    await speakFor(name, note, age(note) > MAX_AGE_MS, rescuer).catch((error) => {
      rescuer.diagnose('recovery_failed', `what an earlier page left stays for the next: ${error}`);
    });
  }
}

/** In milliseconds. */
function age(note: LeftNote | undefined): number {
  return note === undefined ? Infinity : Math.max(0, Date.now() - note[6]);
}

function pause(millis: number): Promise<void> {
  return millis > 0 ? new Promise((resolve) => setTimeout(resolve, millis)) : Promise.resolve();
}
