import type { Emitter, EmitterStats } from 'atomwire';
import { useEffect, useState } from 'react';

/** Often enough to look live. The emitter is asked, not listened to: a write costs nothing here. */
const REFRESH_MS = 250;

export function useEmitterStats(emitter: Emitter): EmitterStats {
  const [stats, setStats] = useState(() => emitter.stats());
  useEffect(() => {
    const timer = setInterval(() => setStats(emitter.stats()), REFRESH_MS);
    return () => clearInterval(timer);
  }, [emitter]);
  return stats;
}
