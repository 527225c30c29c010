import type { EmitterStats } from './EmitterStats.js';
import type { Recorder } from './write/Recorder.js';

/** Where losses begin in the account. */
const LOST = 3;
const EMITTER_FAILED = 6;

/** The account, as the app reads it. */
export function statsOf(recorder: Recorder): EmitterStats {
  const counts = recorder.counts();
  const [created = 0, acknowledged = 0, pending = 0] = counts;
  const { closed, live, newest, era } = recorder;
  const state = closed ? (closed === EMITTER_FAILED ? 'failed' : 'stopped') : (live?.state() ?? 'loading');
  const stats: EmitterStats = { state, created, acknowledged, pending, lost: {} };
  recorder.reasons.forEach((reason, index) => {
    const count = counts[LOST + index];
    if (count) stats.lost[reason] = count;
  });
  const lastTraceId = newest?.era === era ? live?.traceId(newest) : undefined;
  if (lastTraceId) stats.lastTraceId = lastTraceId;
  return stats;
}
