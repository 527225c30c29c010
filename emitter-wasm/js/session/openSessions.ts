import type { EmitterOptions } from '../EmitterOptions.js';
import type { Sessions } from '../Sessions.js';
import type { Recorder } from '../write/Recorder.js';
import type { Core } from './Core.js';
import { type LoadPersist, lookForNotes, type Note, noteOf } from './Note.js';
import { openSession } from './openSession.js';
import type { Session } from './Session.js';
import { settingsOf } from './settingsOf.js';

/** Traps without an acknowledgement between them: the next one would come as surely. */
const MOST_TRAPS = 3;

const PAGE_EVENTS = ['pagehide', 'pageshow', 'online', 'visibilitychange', 'freeze', 'resume'];

// In the account, and reasons of loss.
const ACKNOWLEDGED = 1;
const PENDING = 2;
const PAGE_CLOSED = 4;
const EMITTER_FAILED = 6;

/** The page's sessions with its relay, one after the other: a trap costs one of them, not the page's writes. */
export async function openSessions(
  recorder: Recorder,
  options: EmitterOptions,
  loadPersist: LoadPersist,
  compile: () => Promise<WebAssembly.Module>,
): Promise<Sessions> {
  const { diagnose } = recorder;
  const settings = settingsOf(options, (message) => diagnose('invalid_options', message));
  const listening = new AbortController();
  /** Aborted when the page goes. */
  let here = new AbortController();
  let module: Promise<WebAssembly.Module> | undefined;
  let session: Session | undefined;
  let note: Note | undefined;
  let wasConnected = false;
  let traps = 0;
  let stopping = false;
  /** Each asks whether what it waits for has come, and says so. */
  let waiting: (() => boolean)[] = [];

  const events = {
    kept: false,
    diagnose,
    changed,
    /** What was pending is lost; a fresh instance goes on. */
    broke(error: unknown) {
      note?.leave(EMITTER_FAILED);
      traps += 1;
      if (traps === MOST_TRAPS) return fail(error);
      diagnose('emitter_failed', error);
      renew();
    },
  };

  async function instantiate(): Promise<Core> {
    module ??= compile();
    const compiled = await module;
    const { exports } = await WebAssembly.instantiate(compiled);
    return exports as unknown as Core;
  }

  async function begin(): Promise<void> {
    try {
      const core = await instantiate();
      if (recorder.closed) return;
      session = openSession(core, options, settings, events, recorder);
    } catch (error) {
      return fail(error);
    }
    recorder.live = session;
    note = noteOf(session, options.url);
    session.connect();
    if (stopping) session.end();
    if (options.persist) void keep(note, session);
    changed();
  }

  async function keep(note: Note, session: Session): Promise<void> {
    try {
      await (await loadPersist()).keepJournal(note, session, diagnose);
    } catch (error) {
      diagnose('persistence_failed', error);
    }
  }

  /** In place of a session that trapped, or is another page's. */
  function renew(): void {
    recorder.era += 1;
    recorder.position = 0;
    session = recorder.live = undefined;
    void begin();
  }

  function changed(): void {
    note?.update();
    const over = session?.over();
    if (over) close(over);
    if (session?.counts()[ACKNOWLEDGED]) traps = 0;
    tell();
    const isConnected = session?.state() === 'connected';
    if (isConnected && !wasConnected && note) {
      void lookForNotes(
        note.name,
        {
          url: options.url,
          signal: here.signal,
          diagnose,
          async restore(left, events) {
            const session = openSession(await instantiate(), options, settings, events, left);
            session.connect();
            return session;
          },
        },
        loadPersist,
      );
    }
    wasConnected = isConnected;
    waiting = waiting.filter((isOver) => !isOver());
  }

  /** The first loss of each reason is something that a person should know. */
  function tell(): void {
    const counts = recorder.counts();
    recorder.reasons.forEach((reason, index) => {
      if (counts[PENDING + 1 + index]) diagnose(reason, `updates are lost`);
    });
  }

  function until(isOver: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      waiting.push(() => {
        if (!isOver()) return false;
        resolve();
        return true;
      });
      changed();
    });
  }

  function close(reason: number): void {
    if (recorder.closed) return;
    recorder.close(reason);
    here.abort();
    listening.abort();
    changed();
  }

  function fail(error: unknown): void {
    tell();
    diagnose('emitter_failed', error);
    close(EMITTER_FAILED);
  }

  /** The next page speaks for this session, if anything of it is left. */
  function leave(): void {
    here.abort();
    events.kept = note?.leave() ?? false;
    if (session) session.held = events.kept;
  }

  async function comeBack(): Promise<void> {
    here = new AbortController();
    const before = session;
    const isOurs = await note?.comeBack();
    events.kept = false;
    if (before === undefined) return;
    if (isOurs) {
      before.held = false;
      before.resume();
    } else {
      renew();
      void before.abandon(false);
    }
  }

  function heed(event: Event): void {
    const { type } = event;
    if (type === 'pageshow') {
      if ((event as PageTransitionEvent).persisted) void comeBack();
      return;
    }
    if (type === 'pagehide') leave();
    else if (type !== 'online') note?.save();
    session?.handle(event);
  }

  // Some go to the document, and all of them past the window. A worker has `online` alone.
  for (const type of PAGE_EVENTS) addEventListener(type, heed, { capture: true, signal: listening.signal });
  await begin();
  return {
    async flush() {
      const mine = session;
      // What waits for the page's return has no numbers yet.
      const end = (mine?.created() ?? 0) + recorder.list.length;
      mine?.hurry();
      await until(() => session !== mine || !recorder.counts()[PENDING] || (mine?.settled() ?? end) >= end);
    },
    end() {
      stopping = true;
      session?.end();
      return until(() => recorder.closed > 0);
    },
    async abandon() {
      leave();
      const left = note;
      note = undefined;
      if (await session?.abandon(true)) left?.update();
      close(PAGE_CLOSED);
    },
  };
}
