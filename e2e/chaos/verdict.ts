import type { Testimony } from '../pages/tab/witness.ts';
import { compareLosses } from './compareLosses.ts';
import type { Evidence, KnownSession } from './evidence.ts';
import { type PageAccount, UNSEEN } from './Tabs.ts';

/** What is said of sessions whose end the books do not know, and why that may be. */
export interface Shortfall {
  whose: string;
  made: number;
  known: number;
  because: string;
}

/** What a page wrote in the last moment before it was killed, too late for a note. */
export interface Unseen {
  whose: string;
  updates: number;
}

/** What is wrong, what is missing for a reason, and what nobody can have known. */
export interface Verdict {
  problems: string[];
  shortfalls: Shortfall[];
  unseen: Unseen[];
}

const RELAY = /^relay/;
const CONSUMER = /^consumer/;
const CLIENTS_WAY = /^relay|connections/;

/** Holds the books against what the clients say, and every loss against what was done. */
export function judge(evidence: Evidence): Verdict {
  const { books, rows, handled, relay, generated, options, left } = evidence;
  const problems: string[] = [];
  const expect = (right: boolean, problem: string) => right || problems.push(problem);
  expect(books.balanced && books.unexplained === 0, `${books.unexplained} updates are unexplained`);
  expect(rows.all === rows.different, `${rows.all - rows.different} rows are there twice`);
  expect(rows.all === books.rows, `there are ${rows.all} rows, the books say ${books.rows}`);
  expect(
    relay.received === relay.published + relay.dropped + relay.duplicate,
    `the relay's counters do not add up: ${JSON.stringify(relay)}`,
  );
  expect(handled.length > 0, 'the handler has nothing');
  for (const { relay, next, handled: its, gone } of handled) {
    expect(
      its === next && gone === 0,
      `of ${next} messages of relay ${relay} the handler has ${its}, and misses ${gone}`,
    );
  }
  expect(generated.created === options.updates, `the generator made ${generated.created} updates`);
  expect(generated.pending === 0, `the generator has ${generated.pending} updates pending`);
  expect(left === 0, `${left} notes and journals are left in the browser`);
  for (const { place, reason, updates } of books.lost) {
    const why = `${place}/${reason}`;
    expect(
      mayBe(why, evidence),
      `${updates} updates are lost as ${why}, and nothing was done that explains it`,
    );
  }
  problems.push(...compareLosses(evidence));
  const pages = judgePages(evidence, problems);
  const shortfalls = [...sessionShortfalls(evidence, problems), ...pages.shortfalls];
  for (const { whose, made, known, because } of shortfalls) {
    expect(because !== '', `${whose} made ${made} updates, the books know ${known}`);
  }
  return { problems, shortfalls, unseen: pages.unseen };
}

/** Whether the schedule allows for such a loss. */
function mayBe(why: string, { log, generated, pages, options }: Evidence): boolean {
  // What is acknowledged when it is delivered, no relay takes along.
  const takesAlong = options.acknowledge === 'taken';
  switch (why) {
    case 'browser/too_large':
    case 'browser/not_serializable':
    case 'relay/invalid_json':
    case 'relay/too_large':
      // Some of what the generator writes is so.
      return generated.created > 0;
    case 'browser/queue_full':
      // The small queues last for seconds, and clients wait for the consumer.
      return log.had(CLIENTS_WAY) || log.had(CONSUMER);
    case 'browser/page_closed':
      return pages.length > 0 && log.had(/^tab/);
    case 'browser/page_killed':
      return log.had(/^tab crashed/);
    case 'bus/relay_vanished':
      // A relay that ends by itself has vanished for a consumer that was not there to hear it.
      return takesAlong && (log.had(/^relay killed/) || (log.had(RELAY) && log.had(CONSUMER)));
    case 'bus/relay_ended':
      return takesAlong && log.had(/^relay ended/) && log.had(CONSUMER);
    default:
      // Nothing of a required consumer's is overwritten, for one.
      return false;
  }
}

/** The generator's sessions: all of each must be in the books. */
function sessionShortfalls(evidence: Evidence, problems: string[]): Shortfall[] {
  const { generated, sessions } = evidence;
  const known = new Map(sessions.map((session) => [session.session, session]));
  const shortfalls: Shortfall[] = [];
  for (const { session, created, acknowledged, refused } of generated.sessions) {
    if (refused !== null) problems.push(`session ${session} was refused: ${refused}`);
    const last = known.get(session);
    const { end = 0, rows = 0 } = last ?? {};
    if (end > created) problems.push(`session ${session} made ${created} updates, the books know ${end}`);
    if (rows > acknowledged) {
      problems.push(`session ${session} has ${rows} rows, ${acknowledged} updates were acknowledged`);
    }
    if (end >= created) continue;
    const because = lastWords(last, evidence);
    shortfalls.push({ whose: `session ${session}`, made: created, known: end, because });
  }
  return shortfalls;
}

/**
 * The tabs' pages: whatever a page made is in the books, however it went. Only of one that was killed may the last
 * moment be missing, of which there was no time for a note.
 */
function judgePages(evidence: Evidence, problems: string[]): Pick<Verdict, 'shortfalls' | 'unseen'> {
  const shortfalls: Shortfall[] = [];
  const unseen: Unseen[] = [];
  for (const page of evidence.pages) {
    const { name, tab, persist, written, stats, ids, end } = page;
    const its = evidence.sessions.filter((known) => known.page === name || ids.includes(known.session));
    const known = its.reduce((sum, { end }) => sum + end, 0);
    const whose = `page ${name} of tab ${tab} (${persist ? 'persists, ' : ''}${end})`;
    // Where another page took its session, the emitter counts from anew.
    const recounted = ids.length > 1 && stats.created < written;
    if (stats.created !== written && !recounted)
      problems.push(`${whose} wrote ${written}, its emitter says ${stats.created}`);
    if (end !== 'left' && known > written)
      problems.push(`${whose} wrote ${written}, the books know ${known}`);
    const missing = written - known;
    if (missing <= 0) continue;
    if (end === 'crashed' && missing <= Math.min(stats.pending, UNSEEN)) {
      unseen.push({ whose, updates: missing });
    } else {
      const because = wasTold(page, evidence.testimony)
        ? lastWords(
            its.findLast(({ relay }) => relay !== null),
            evidence,
          )
        : '';
      shortfalls.push({ whose, made: written, known, because });
    }
  }
  return { shortfalls, unseen };
}

/**
 * Whether somebody was told of all that the page made, the last moment before it was killed apart: the relay, while
 * the page was there, or else the next page, by a note.
 */
function wasTold({ name, ids, stats, end, at }: PageAccount, { last, seen }: Testimony): boolean {
  if (end === 'crashed') return stats.pending <= UNSEEN || ids.some((id) => (seen[id] ?? 0) >= at);
  const { pending, noted } = last[name] ?? { pending: stats.pending, noted: false };
  return pending === 0 || noted;
}

/**
 * Why the books may not know the end of a session that said it, and was heard: behind its last row a relay
 * vanished, or the bus lost messages. Those are in the books as such; nobody can say whose they were.
 */
function lastWords(last: KnownSession | undefined, { relays }: Evidence): string {
  const from = relays.findIndex(({ relay }) => relay === last?.relay);
  const since = relays.slice(Math.max(from, 0));
  if (since.some(({ ended }) => ended === 'vanished')) return 'the relay that heard its last words vanished';
  const lost = since.some(({ relay, newest_lost: newest }) =>
    relay === last?.relay ? newest > (last.relay_seq ?? -1) : newest >= 0,
  );
  return lost ? 'its last words are among the messages that the bus lost' : '';
}
