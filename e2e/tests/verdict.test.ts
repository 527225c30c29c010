import { describe, expect, test } from 'vitest';
import type { Evidence, KnownSession } from '../chaos/evidence.ts';
import { Log, type Struck } from '../chaos/Log.ts';
import { type PageAccount, UNSEEN } from '../chaos/Tabs.ts';
import { judge } from '../chaos/verdict.ts';
import type { Testimony } from '../pages/tab/witness.ts';

/** When the page in question went. */
const GONE = 100_000;

const ID = 'a'.repeat(32);

function page(changes: Partial<PageAccount> & { pending?: number }): PageAccount {
  const { pending = 30, ids = [], ...rest } = changes;
  const written = rest.written ?? 100;
  const stats = { created: written, acknowledged: written - pending, pending, lost: {} };
  return { name: 'a0a0a0a0', tab: 1, persist: false, written, stats, ids, end: 'closed', at: GONE, ...rest };
}

function session(end: number, changes: Partial<KnownSession> = {}): KnownSession {
  const page = 'a0a0a0a0';
  return { session: ID, page, rows: end, end, relay: 'r1', relay_seq: end, ...changes };
}

function struck(kind: Struck['kind']): Struck {
  return { kind, from: 0, to: 0, at: 0, duration: 0, tab: 0, direction: 'both', progress: 0 };
}

/** A run in which nothing went wrong, but for these. */
function evidence(changes: Partial<Evidence>, faults: Struck[] = []): Evidence {
  const log = new Log(() => {});
  log.struck.push(...faults);
  const account = { created: 0, acknowledged: 0, pending: 0, lost: {} };
  return {
    options: { seed: 1, updates: 0, faults: faults.length, sessions: 0, rate: 0, acknowledge: 'taken' },
    log,
    generated: { ...account, sessions: [] },
    pages: [],
    left: 0,
    testimony: { last: {}, seen: {} },
    back: { fromCache: 0, loaded: 0 },
    network: { opened: 0, refused: 0, unreachable: 0, cut: 0, halfClosed: 0 },
    relay: { received: 0, published: 0, dropped: 0, duplicate: 0 },
    sessions: [],
    losses: [],
    relays: [{ relay: 'r1', ended: 'drained', newest_lost: -1 }],
    books: {
      balanced: true,
      sessions: { known: 0, ended: 0, open: 0 },
      updates: 0,
      rows: 0,
      lost: [],
      unexplained: 0,
      holes: [],
      relays: { known: 1, drained: 1, vanished: 0 },
      bus: { messages_lost: 0 },
      text: '',
    },
    rows: { all: 0, different: 0 },
    handled: [{ relay: 'r1', next: 100, handled: 100, gone: 0 }],
    ...changes,
  };
}

const cut = struck('connections cut');
const crashed = struck('tab crashed');

test('a page that closed is wholly in the books, whatever became of its way to the relay', () => {
  expect(judge(evidence({ pages: [page({})], sessions: [session(100)] }, [cut])).problems).toEqual([]);
  const { problems, unseen } = judge(evidence({ pages: [page({})], sessions: [session(99)] }, [cut]));
  expect(problems).toEqual(['page a0a0a0a0 of tab 1 (closed) made 100 updates, the books know 99']);
  expect(unseen).toEqual([]);
});

test('of a page that was killed the last moment may be missing, which is told and bounded', () => {
  const judged = (missing: number, pending: number) =>
    judge(
      evidence({ pages: [page({ end: 'crashed', pending })], sessions: [session(100 - missing)] }, [crashed]),
    );
  const whose = 'page a0a0a0a0 of tab 1 (crashed)';
  expect(judged(UNSEEN, 60)).toEqual({ problems: [], shortfalls: [], unseen: [{ whose, updates: UNSEEN }] });
  expect(judged(UNSEEN + 1, 60).problems).toHaveLength(1);
  expect(judged(31, 30).problems, 'of which one was acknowledged').toHaveLength(1);
});

test('a session without a row, of which only a note told, is found by its id', () => {
  const noted = session(100, { page: null, rows: 0, relay: null, relay_seq: null });
  const judged = (ids: string[]) => judge(evidence({ pages: [page({ ids })], sessions: [noted] }));
  expect(judged(['b'.repeat(32), ID]).problems).toEqual([]);
  expect(judged(['b'.repeat(32)]).problems).toHaveLength(1);
});

test('a handler has each message, once', () => {
  const judged = (handled: number, gone: number, next = 100) =>
    judge(evidence({ handled: [{ relay: 'r1', next, handled, gone }] })).problems;
  expect(judged(100, 0)).toEqual([]);
  expect(judged(99, 0)).toEqual(['of 100 messages of relay r1 the handler has 99, and misses 0']);
  expect(judged(99, 1)).toHaveLength(1);
  expect(judged(101, 0)).toHaveLength(1);
  expect(judge(evidence({ handled: [] })).problems).toHaveLength(1);
});

test('a relay that vanished took along only what somebody had told', () => {
  const relays = [
    { relay: 'r1', ended: 'vanished', newest_lost: -1 },
    { relay: 'r2', ended: 'drained', newest_lost: -1 },
  ];
  const sessions = [session(40)];
  const problems = (gone: PageAccount, testimony: Partial<Testimony>) => {
    const all = { last: {}, seen: {}, ...testimony };
    return judge(evidence({ pages: [gone], sessions, relays, testimony: all }, [crashed])).problems.length;
  };
  const closed = page({});
  expect(problems(closed, {})).toBe(1);
  expect(problems(closed, { last: { a0a0a0a0: { pending: 3, noted: false } } })).toBe(1);
  expect(problems(closed, { last: { a0a0a0a0: { pending: 3, noted: true } } })).toBe(0);
  expect(problems(closed, { last: { a0a0a0a0: { pending: 0, noted: false } } })).toBe(0);
  const killed = page({ end: 'crashed', pending: 60, ids: [ID] });
  expect(problems(killed, {})).toBe(1);
  // Of something earlier.
  expect(problems(killed, { seen: { [ID]: GONE - 1 } })).toBe(1);
  expect(problems(killed, { seen: { [ID]: GONE } })).toBe(0);
});

test('a relay takes along what it acknowledged before it was delivered, and nothing else', () => {
  function problems(reason: string, acknowledge: 'taken' | 'delivered'): string[] {
    const lost = [{ place: 'bus' as const, reason, updates: 3 }];
    const { books, options } = evidence({});
    const changes = { books: { ...books, lost }, options: { ...options, acknowledge } };
    const faults = [struck('consumer killed'), struck('relay killed'), struck('relay ended')];
    return judge(evidence(changes, faults)).problems;
  }
  for (const reason of ['relay_vanished', 'relay_ended']) {
    expect(problems(reason, 'taken')).toEqual([]);
    expect(problems(reason, 'delivered')).toHaveLength(1);
  }
  expect(problems('gone', 'taken'), 'of a required consumer’s').toHaveLength(1);
});

test('nothing may be left in the browser, and nothing be killed that was not', () => {
  expect(judge(evidence({ left: 2 })).problems).toEqual(['2 notes and journals are left in the browser']);
  const books = evidence({}).books;
  const lost = [{ place: 'browser' as const, reason: 'page_killed', updates: 3 }];
  expect(judge(evidence({ books: { ...books, lost } })).problems).toHaveLength(1);
  expect(judge(evidence({ books: { ...books, lost } }, [crashed])).problems).toEqual([]);
});

describe('a session’s losses, reason by reason', () => {
  /** What is wrong where one session says the first and the books say the second. */
  function problems(said: Record<string, number>, known: Record<string, number>, lostByBus = 0): string[] {
    const created = Object.values(said).reduce((sum, updates) => sum + updates, 0);
    const account = { created, acknowledged: 0, pending: 0, lost: said };
    const its = { ...account, session: ID, connections: 1, refused: null };
    const losses = Object.entries(known).map(([reason, updates]) => ({ session: ID, reason, updates }));
    const lost = [
      ...losses.map(({ reason, updates }) => ({ place: 'browser' as const, reason, updates })),
      ...(lostByBus > 0 ? [{ place: 'bus' as const, reason: 'relay_vanished', updates: lostByBus }] : []),
    ];
    return judge(
      evidence(
        {
          options: { seed: 1, updates: created, faults: 2, sessions: 1, rate: 0, acknowledge: 'taken' },
          generated: { ...account, sessions: [its] },
          sessions: [session(created, { page: null, rows: 0 })],
          losses,
          books: { ...evidence({}).books, lost },
        },
        [cut, struck('relay killed')],
      ),
    ).problems;
  }

  test('are what it says', () => {
    expect(problems({ queue_full: 30, too_large: 2 }, { queue_full: 30, too_large: 2 })).toEqual([]);
    expect(problems({ queue_full: 30, too_large: 2 }, { queue_full: 2, too_large: 30 })).toEqual([
      `session ${ID} says that 30 updates were lost as queue_full, the books say 2`,
      `session ${ID} says that 2 updates were lost as too_large, the books say 30`,
    ]);
  });

  test('are no more than it says where the bus lost some of the reports', () => {
    expect(problems({ queue_full: 30, too_large: 2 }, { queue_full: 20 }, 1)).toEqual([]);
    expect(problems({ queue_full: 30, too_large: 2 }, { too_large: 3 }, 1)).toHaveLength(1);
  });

  test('have no reason that it never had', () => {
    expect(problems({ too_large: 2 }, { page_closed: 2 }, 1)).not.toEqual([]);
    expect(
      problems({ queue_full: 300, too_large: 2 }, { queue_full: 300, not_serializable: 2 }),
    ).toHaveLength(1);
  });

  test('stand for each other where there may be too many to be told apart', () => {
    expect(problems({ queue_full: 98, too_large: 2 }, { queue_full: 100 })).toEqual([]);
    expect(problems({ queue_full: 97, too_large: 2 }, { queue_full: 99 })).toHaveLength(2);
    expect(problems({ queue_full: 98, too_large: 2 }, { queue_full: 99 })).toHaveLength(1);
  });
});
