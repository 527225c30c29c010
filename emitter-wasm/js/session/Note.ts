import type { Journal } from '../persist/Journal.js';
import type { Rescuer } from '../persist/speakFor.js';

/** What stands in the storage about a session: never values. A tuple, since names would cost the page bytes. */
export type LeftNote = [
  url: string,
  resource: string,
  /** The session's id and its seed. */
  identity: number[],
  /** Its first number that was not settled… */
  from: number,
  /** …and the one after its last, when this was written. */
  end: number,
  /** Why what is missing is lost: the protocol's `LostReason`. */
  reason: number,
  /** When this was written, in milliseconds since the epoch. */
  at: number,
  /** The updates are in the journal. */
  kept: boolean | undefined,
];

/** Loads what few pages need. */
export type LoadPersist = () => Promise<typeof import('../persist/persist.js')>;

/** Of a note in the storage, and of its lock; the session's id follows, in hexadecimal. */
export const PREFIX = 'atomwire:';
/**
 * What is unsettled for so long is noted: a batch waits for 200 ms, and an answer from another continent as
 * long again. So a page that reaches its relay writes next to nothing.
 */
const WRITE_AFTER_MS = 400;
const PAGE_CLOSED = 4;
const PAGE_KILLED = 7;

/** The session that a note is about. */
export interface Noted {
  readonly identity: Uint8Array;
  readonly resource: string;
  settled(): number;
  created(): number;
}

export interface Note {
  readonly name: string;
  /** Keeps the updates themselves, with `persist`. */
  journal?: Journal;
  /** Numbers were made, or settled. */
  update(): void;
  /** Writes it now, if there is anything to say: the page may not see another moment. */
  save(reason?: number): void;
  /** The page goes, or the session ends here. True when a note stands: the next page closes the books. */
  leave(reason?: number): boolean;
  /** The page is back: whether its session is still its own. */
  comeBack(): Promise<boolean>;
}

/**
 * Says to the origin's next page how far this session came, while not all of it is settled.
 *
 * A page holds its session's lock from its first note on. Whoever gets that lock speaks for the session, so
 * that no two pages ever do. A page in the back/forward cache must hold none; when it comes back, it looks
 * whether its session is still its own.
 */
export function noteOf(session: Noted, url: string): Note {
  const { identity, resource } = session;
  const { locks } = navigator;
  const name: string = PREFIX + hex(identity.subarray(0, 16));
  /** As it stands in the storage; empty when it does not. */
  let text = '';
  let timer: ReturnType<typeof setTimeout> | undefined;
  let release: (() => void) | undefined;
  /** The session may be another page's. */
  let away = false;

  /** Holds the session's lock for as long as the page is here; false when another page does. */
  const hold = () =>
    new Promise<boolean>((resolve) => {
      const asked = locks.request(name, { ifAvailable: true }, (lock) => {
        resolve(!!lock);
        return (
          lock &&
          new Promise<void>((freed) => {
            release = freed;
          })
        );
      });
      asked.catch(() => resolve(false));
    });

  const note: Note = {
    name,
    update() {
      const created = session.created();
      if (session.settled() < created) {
        timer ??= setTimeout(() => {
          timer = undefined;
          if (session.settled() < created) note.save();
          else note.update();
        }, WRITE_AFTER_MS);
      } else if (text) {
        localStorage.removeItem(name);
        text = '';
      }
      note.journal?.settle();
    },
    save(reason = PAGE_KILLED) {
      const from = session.settled();
      const end = session.created();
      if (away || from === end || !locks) return;
      // A page that goes needs no lock.
      if (!release && reason === PAGE_KILLED) void hold();
      const kept = note.journal?.write();
      const left: LeftNote = [url, resource, [...identity], from, end, reason, Date.now(), kept];
      try {
        localStorage.setItem(name, JSON.stringify(left));
        text = JSON.stringify(left);
      } catch {
        // Denied, or full: what is pending is known to this page alone.
      }
    },
    leave(reason = PAGE_CLOSED) {
      note.save(reason);
      away = true;
      release?.();
      release = undefined;
      note.journal?.close();
      return !!text;
    },
    async comeBack() {
      const own = !text || ((await hold()) && localStorage.getItem(name) === text);
      away = !own;
      if (own) void note.journal?.open();
      return own;
    },
  };
  return note;
}

export function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** Sees to what earlier pages left; `own` is the name of this page's note. */
export async function lookForNotes(own: string, rescuer: Rescuer, load: LoadPersist): Promise<void> {
  try {
    if (!Object.keys(localStorage).some((name) => name.startsWith(PREFIX) && name !== own)) return;
    await (await load()).recover(rescuer);
  } catch {
    // No storage; or the chunk does not load, and the next connection tries again.
  }
}
