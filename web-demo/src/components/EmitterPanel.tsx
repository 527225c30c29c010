import { emitter } from '../emitter';
import { useEmitterStats } from '../useEmitterStats';
import { Account } from './Account';
import { AccountBar } from './AccountBar';
import styles from './EmitterPanel.module.css';
import { TraceLink } from './TraceLink';

/** What Atomwire's emitter says of itself: its connection, its account, and where its newest write went. */
export function EmitterPanel() {
  const stats = useEmitterStats(emitter);
  return (
    <section aria-label="Atomwire emitter" className={styles.panel}>
      <AccountBar stats={stats} />
      <div className={styles.inner}>
        <output className={styles.state} data-state={stats.state} aria-label="state" aria-live="off">
          {stats.state}
        </output>
        <Account stats={stats} />
        <TraceLink traceId={stats.lastTraceId} />
      </div>
    </section>
  );
}
