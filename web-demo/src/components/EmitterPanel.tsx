import { emitter } from '../emitter';
import { useEmitterStats } from '../useEmitterStats';
import styles from './EmitterPanel.module.css';
import { Figure } from './Figure';
import { TraceLink } from './TraceLink';

/** What Atomwire's emitter says of itself: created = acknowledged + pending + lost, at every moment. */
export function EmitterPanel() {
  const { state, created, acknowledged, pending, lost, lastTraceId } = useEmitterStats(emitter);
  const reasons = Object.entries(lost).filter(([, count]) => count > 0);
  const lostCount = reasons.reduce((sum, [, count]) => sum + count, 0);
  return (
    <section aria-label="Atomwire emitter" className={styles.panel}>
      <div className={styles.inner}>
        <output className={styles.state} data-state={state} aria-label="state" aria-live="off">
          {state}
        </output>
        <div className={styles.account}>
          <Figure label="created" value={created} />
          <Figure label="acknowledged" value={acknowledged} />
          <Figure label="pending" value={pending} />
          <Figure label="lost" value={lostCount} />
          <output className={styles.reasons} aria-label="lost reasons">
            {reasons.map(([reason, count]) => `${reason} ${count}`).join(', ')}
          </output>
        </div>
        <TraceLink traceId={lastTraceId} />
      </div>
    </section>
  );
}
