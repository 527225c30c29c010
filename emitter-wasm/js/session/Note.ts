import type { Rescuer } from '../persist/speakFor.js';
import { hexOf } from './hexOf.js';

/** What stands in the storage about a session: never values. A tuple, since names would cost the page bytes. */
export type LeftNote = [
  url: string,
  resource: string,
  /** The session's. */
  seed: number[],
  /** Its first number that was not settled… */
  from: number,
  /** …and the one after its last, when this was written. */
  end: number,
  /** Why what is missing is lost: the protocol's `LostReason`. */
  reason: number,
  /** When this was written, in milliseconds since the epoch. */
  at: number,
  /** The updates are in the journal. */
  kept: boolean,
];

/** Loads what few pages need. */
export type LoadPersist = () => Promise<typeof import('../persist/persist.js')>;

/**
 * Of a note in the storage, and of its lock. Half of the session's seed follows, in hexadecimal: nobody sees it who
 * cannot read the note.
 */
const PREFIX = 'atomwire:';
/**
 * What is unsettled for so long is noted: a batch waits for 200 ms, and an answer from another continent as
 * long again. So a page that reaches its relay writes next to nothing.
 */
const WRITE_AFTER_MS = 400;
/** Beyond so many entries nothing is added: where no relay ever answers, notes must not fill the app's storage. */
const MOST_ENTRIES = 1_000;
const PAGE_CLOSED = 4;
const PAGE_KILLED = 7;

/** The session that a note is about. */
export interface Noted {
  readonly seed: Uint8Array;
  readonly resource: string;
  settled(): number;
  created(): number;
}

export interface Note {
  readonly name: string;
  /** The updates themselves are kept as well: `persist`. */
  kept: boolean;
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
  const { locks } = navigator;
  const name: string = PREFIX + hexOf(session.seed.subarray(0, 16));
  /** As it stands in the storage; empty when it does not. */
  let text = '';
  let waiting = false;
  let release: (() => void) | undefined;
  /** The session may be another page's. */
  let away = false;

  function store(next: string): void {
    try {
      if (!next) localStorage.removeItem(name);
      else if (text || localStorage.length < MOST_ENTRIES) localStorage.setItem(name, next);
      else return;
      text = next;
    } catch {
      // Denied, or full: what is pending is known to this page alone.
    }
  }

  /** Holds the lock for as long as the page is here, if this is its session still. */
  function hold(): Promise<boolean> {
    return new Promise((resolve) => {
      const asked = locks.request(name, { ifAvailable: true }, (lock) => {
        const own = lock !== null && localStorage.getItem(name) === text;
        resolve(own);
        return (
          own &&
          new Promise<void>((freed) => {
            release = freed;
          })
        );
      });
      asked.catch(() => resolve(false));
    });
  }

  const note: Note = {
    name,
    kept: false,
    update() {
      const created = session.created();
      if (session.settled() === created) {
        if (text) store('');
      } else if (!waiting) {
        waiting = true;
        setTimeout(() => {
          waiting = false;
          if (session.settled() < created) note.save();
          else note.update();
        }, WRITE_AFTER_MS);
      }
    },
    save(reason = PAGE_KILLED) {
      const from = session.settled();
      const end = session.created();
      if (away || from === end || !locks) return;
      const left: LeftNote = [
        url,
        session.resource,
        [...session.seed],
        from,
        end,
        reason,
        Date.now(),
        note.kept,
      ];
      store(JSON.stringify(left));
      // A page that goes needs no lock.
      if (text && !release && reason === PAGE_KILLED) void hold();
    },
    leave(reason = PAGE_CLOSED) {
      note.save(reason);
      away = true;
      release?.();
      release = undefined;
      return !!text;
    },
    async comeBack() {
      const own = !text || (await hold());
      away = !own;
      return own;
    },
  };
  return note;
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
