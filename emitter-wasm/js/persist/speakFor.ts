import type { LeftNote } from '../session/Note.js';
import type { LeftSession, Session, SessionEvents } from '../session/Session.js';
import { openDatabase } from './database.js';
import { rowsUpTo } from './rowsUpTo.js';

const PAGE_CLOSED = 4;

/** What recovery asks of the page that does it. */
export interface Rescuer {
  /** The relay's stream; another one's sessions are not ours. */
  url: string;
  /** Aborted when the page goes: what is not done is the next page's. */
  signal: AbortSignal;
  diagnose(kind: string, message: string): void;
  /** Goes on with a session, which ends once all of it is settled. */
  restore(left: LeftSession, events: SessionEvents): Promise<Session>;
}

/** Goes on with the session of a note until it is over; the note stays when that does not come about. */
export async function speakFor(
  name: string,
  note: LeftNote,
  expired: boolean,
  rescuer: Rescuer,
): Promise<void> {
  const [, resource, seed, base, end, reason, , kept] = note;
  const database = kept ? await openDatabase(() => {}) : undefined;
  try {
    const rows = expired ? [] : ((await database?.getAll('frames', rowsUpTo(name))) ?? []);
    if (rows.length > 0) {
      rescuer.diagnose('recovered', `${end - base} updates that earlier pages left are on their way`);
    }
    const left: LeftSession = {
      seed: Uint8Array.from(seed),
      resource,
      keys: rows.at(-1)?.keys ?? [],
      frames: rows.flatMap(({ frames }) => frames),
      base,
      end,
      reason: expired ? PAGE_CLOSED : reason,
    };
    if (await isOver(left, () => mark(name, note), rescuer)) {
      localStorage.removeItem(name);
      await database?.delete('frames', rowsUpTo(name));
    }
  } finally {
    database?.close();
  }
}

/** A page that comes out of the back/forward cache sees that its session is not its own any more. */
function mark(name: string, note: LeftNote): void {
  try {
    localStorage.setItem(name, JSON.stringify([...note.slice(0, 8), true]));
  } catch {
    // No room: should this page die here, one that comes back takes for arrived what is lost.
  }
}

/** Whether the relay has settled all of it. */
function isOver(left: LeftSession, welcomed: () => void, rescuer: Rescuer): Promise<boolean> {
  return new Promise((resolve, reject) => {
    let session: Session | undefined;
    let state: string | undefined;
    const events: SessionEvents = {
      kept: true,
      changed() {
        const before = state;
        state = session?.state();
        if (state === 'connected' && state !== before) welcomed();
        const reason = session?.over();
        // Sent away by the relay, as whoever has no valid token is, it is over for another.
        if (reason) resolve(reason === PAGE_CLOSED);
      },
      broke: reject,
      diagnose: rescuer.diagnose,
    };
    rescuer.restore(left, events).then((restored) => {
      session = restored;
      const abandon = () => {
        void restored.abandon(false);
        resolve(false);
      };
      if (rescuer.signal.aborted) abandon();
      rescuer.signal.addEventListener('abort', abandon);
      events.changed();
    }, reject);
  });
}
