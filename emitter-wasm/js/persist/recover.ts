import type { LeftSession } from '../Live.js';
import { type Database, forget, framesUpTo, type SessionRecord } from './database.js';
import { holdLock } from './holdLock.js';

/** Older than this it is no news any more: it is reported as lost, so that the books close. */
const MAX_AGE_MS = 24 * 3_600_000;
/** No page has spoken to this session's relay for so long that none will. */
const ABANDONED_MS = 30 * MAX_AGE_MS;

/** What recovery asks of the page that does it. */
export interface Rescuer {
  /** The relay's stream; another one's sessions are not ours. */
  url: string;
  /** Aborted when the page goes, which then holds no lock: what is not done is the next page's. */
  signal: AbortSignal;
  /** So many updates of earlier pages are on their way. */
  found(updates: number): void;
  /** Sends a session, and says whether it is over. Throws when it is no session. */
  send(left: LeftSession): Promise<boolean>;
}

/** Sends what earlier pages have left, one after the other, unless another page does. */
export async function recover(database: Database, rescuer: Rescuer): Promise<void> {
  const claimed: { record: SessionRecord; release: () => void }[] = [];
  try {
    for (const { id } of await database.getAll('sessions')) {
      const release = await holdLock(id);
      if (release === undefined) continue;
      rescuer.signal.addEventListener('abort', release);
      // Now that it is ours: another page may just have been done with it.
      const record = await database.get('sessions', id);
      if (record !== undefined && !isSession(record)) await forget(database, id);
      else if (record?.url === rescuer.url) {
        claimed.push({ record, release });
        continue;
      } else if (record !== undefined && Date.now() - record.at > ABANDONED_MS) await forget(database, id);
      release();
    }
    const updates = claimed.reduce((sum, { record }) => sum + record.end - record.from, 0);
    if (updates > 0) rescuer.found(updates);
    for (const { record, release } of claimed) {
      if (rescuer.signal.aborted) return;
      if (await isOver(database, record, rescuer)) await forget(database, record.id);
      release();
    }
  } finally {
    for (const { release } of claimed) release();
  }
}

async function isOver(database: Database, record: SessionRecord, rescuer: Rescuer): Promise<boolean> {
  const { id, identity, resource, keys, end, at } = record;
  const rows = await database.getAll('frames', framesUpTo(id, Number.MAX_SAFE_INTEGER));
  const frames = rows.flatMap((row) => row.frames);
  const expired = Date.now() - at > MAX_AGE_MS;
  // Whatever wrote what is none of ours, nobody can read it.
  if (!frames.every((frame) => frame instanceof Uint8Array)) return true;
  try {
    return await rescuer.send({ identity, resource, keys, frames, end, expired });
  } catch {
    return true;
  }
}

function isSession({ identity, url, resource, keys, from, end, at }: SessionRecord): boolean {
  return (
    identity instanceof Uint8Array &&
    identity.length === 48 &&
    [url, resource].every((text) => typeof text === 'string') &&
    Array.isArray(keys) &&
    [from, end, at].every(Number.isFinite)
  );
}
