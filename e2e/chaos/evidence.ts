import type { Books } from '../lib/account.ts';
import type { Network } from '../lib/Network.ts';
import type { Database } from '../lib/rows.ts';
import type { Generated } from './Generator.ts';
import type { Log } from './Log.ts';
import type { PageAccount, Tabs } from './Tabs.ts';

/** One session as the consumer's tables have it. */
export interface KnownSession {
  session: string;
  /** The page, when it was one of a tab. */
  page: string | null;
  rows: number;
  /** The number after the last that any row, loss or relay speaks of. */
  end: number;
}

/** What a run left behind. */
export interface Evidence {
  options: { seed: number; updates: number; faults: number; sessions: number; rate: number };
  log: Log;
  generated: Generated;
  pages: PageAccount[];
  back: Tabs['back'];
  network: Network['counts'];
  /** The last relay's counters. */
  relay: { received: number; published: number; dropped: number; duplicate: number };
  sessions: KnownSession[];
  books: Books & { text: string };
  rows: { all: number; different: number };
}

// A tab's keys are tab/{page}/{atom}.
const SESSIONS = `
  SELECT session, MAX(page) AS page, SUM(rows) AS rows, MAX("end") AS "end" FROM (
    SELECT session, MAX(CASE WHEN key LIKE 'tab/%' THEN substr(key, 5, 8) END) AS page, COUNT(*) AS rows,
      MAX(seq) + 1 AS "end" FROM atom_updates GROUP BY session
    UNION ALL SELECT session, NULL, 0, MAX(last_seq) + 1 FROM losses GROUP BY session
    UNION ALL SELECT session, NULL, 0, next_seq FROM sessions
  ) GROUP BY session`;

/** Every session that the consumer's tables know. */
export async function sessionsIn(database: Database): Promise<KnownSession[]> {
  return database.query<KnownSession>(SESSIONS);
}
