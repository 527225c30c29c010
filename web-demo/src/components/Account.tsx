import type { EmitterStats } from 'atomwire';
import { lostCount } from '../lostCount';
import styles from './Account.module.css';
import { Figure } from './Figure';

/** The emitter's account as the equation that it is, and why it lost what it lost. */
export function Account({ stats }: { stats: EmitterStats }) {
  const { created, acknowledged, pending } = stats;
  const lost = lostCount(stats);
  const balanced = created === acknowledged + pending + lost;
  const reasons = Object.entries(stats.lost).filter(([, count]) => count > 0);
  return (
    <div className={styles.account}>
      <div className={styles.equation}>
        <Figure label="created" value={created} />
        <span className={balanced ? styles.sign : styles.unbalanced}>{balanced ? '=' : '≠'}</span>
        <Figure label="acknowledged" value={acknowledged} />
        <span className={styles.sign}>+</span>
        <Figure label="pending" value={pending} />
        <span className={styles.sign}>+</span>
        <Figure label="lost" value={lost} />
      </div>
      <output className={styles.reasons} aria-label="lost reasons">
        {reasons.map(([reason, count]) => `${reason} ${count}`).join(', ')}
      </output>
    </div>
  );
}
