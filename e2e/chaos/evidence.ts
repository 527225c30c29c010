import type { Books } from '../lib/account.ts';
import type { Network } from '../lib/Network.ts';
import type { Database } from '../lib/rows.ts';
import type { Testimony } from '../pages/tab/witness.ts';
import type { Generated } from './Generator.ts';
import type { Log } from './Log.ts';
import type { Options } from './Options.ts';
import type { PageAccount, Tabs } from './Tabs.ts';

/** One session as the consumer's tables have it. */
export interface KnownSession {
  session: string;
  /** The page, when it was one of a tab, as the keys of its rows say. */
  page: string | null;
  rows: number;
  /** The number after the last that any row, loss or relay speaks of. */
  end: number;
  /** Which relay published its last row, and as which message; null without a row. */
  relay: string | null;
  relay_seq: number | null;
}

/** What a session's client gave up for one reason, as the consumer's tables have it. */
export interface KnownLoss {
  session: string;
  reason: string;
  updates: number;
}

/** A relay, in the order of their first words, and what the bus lost of it since then. */
export interface KnownRelay {
  relay: string;
  ended: string | null;
  /** The newest message that never came; -1 where all came. */
  newest_lost: number;
}

/** What became of a relay's updates with a handler of somebody's own. */
export interface Handled {
  relay: string;
  /** Messages that it has accounted for, by the relay's count… */
  next: number;
  /** …which it handled… */
  handled: number;
  /** …or never got. */
  gone: number;
}

/** What a run left behind. */
export interface Evidence {
  options: Pick<Options, 'seed' | 'updates' | 'faults' | 'sessions' | 'rate' | 'acknowledge'>;
  log: Log;
  generated: Generated;
  pages: PageAccount[];
  /** Notes and journals in the browser of which the relay was not told. */
  left: number;
  testimony: Testimony;
  back: Tabs['back'];
  network: Network['counts'];
  /** The last relay's counters. */
  relay: { received: number; published: number; dropped: number; duplicate: number };
  sessions: KnownSession[];
  losses: KnownLoss[];
  relays: KnownRelay[];
  books: Books & { text: string };
  rows: { all: number; different: number };
  handled: Handled[];
}

// A tab's keys are tab/{page}/{atom}.
const SESSIONS = `
  SELECT known.*, relay_id AS relay, relay_seq FROM (
    SELECT session, MAX(page) AS page, SUM(rows) AS rows, MAX("end") AS "end", MAX(last) AS last FROM (
      SELECT session, MAX(CASE WHEN key LIKE 'tab/%' THEN substr(key, 5, 8) END) AS page, COUNT(*) AS rows,
        MAX(seq) + 1 AS "end", MAX(seq) AS last FROM atomwire_updates GROUP BY session
      UNION ALL SELECT session, NULL, 0, MAX(last_seq) + 1, NULL FROM atomwire_losses GROUP BY session
      UNION ALL SELECT session, NULL, 0, next_seq, NULL FROM atomwire_sessions
    ) GROUP BY session
  ) AS known LEFT JOIN atomwire_updates AS updates ON updates.session = known.session AND seq = last`;

const LOSSES = `
  SELECT session, reason, SUM(last_seq - first_seq + 1) AS updates FROM atomwire_losses WHERE place = 'browser'
  GROUP BY session, reason`;

const RELAYS = `
  SELECT relays.relay_id AS relay, ended, COALESCE(MAX(last_seq), -1) AS newest_lost
  FROM atomwire_relays AS relays
  LEFT JOIN atomwire_gaps AS gaps ON gaps.relay_id = relays.relay_id AND reason <> 'before'
  GROUP BY relays.relay_id ORDER BY MIN(ordinal)`;

const HANDLED = `
  SELECT relay_id AS relay, next_seq AS next,
    (SELECT COUNT(*) FROM handled WHERE relay = relay_id) AS handled,
    (SELECT COALESCE(SUM(last_seq - first_seq + 1), 0) FROM atomwire_gaps AS gaps
      WHERE gaps.relay_id = topics.relay_id AND gaps.topic = topics.topic) AS gone
  FROM atomwire_topics AS topics WHERE topic = 'atom-updates'`;

/** What a handler of somebody's own has to show. */
export async function handledIn(database: Database): Promise<Handled[]> {
  return database.query<Handled>(HANDLED);
}

/** Every session that the consumer's tables know. */
export async function sessionsIn(database: Database): Promise<KnownSession[]> {
  return database.query<KnownSession>(SESSIONS);
}

/** What they say that clients gave up. */
export async function lossesIn(database: Database): Promise<KnownLoss[]> {
  return database.query<KnownLoss>(LOSSES);
}

/** Every relay that they know. */
export async function relaysIn(database: Database): Promise<KnownRelay[]> {
  return database.query<KnownRelay>(RELAYS);
}
