import type { EmitterStats } from 'atomwire';
import { lostCount } from '../lostCount';
import styles from './AccountBar.module.css';

/** The shares of the account in what was created. For the eye: the figures below say the same. */
export function AccountBar({ stats }: { stats: EmitterStats }) {
  return (
    <div className={styles.bar} aria-hidden="true">
      <span className={styles.acknowledged} style={{ flexGrow: stats.acknowledged }} />
      <span className={styles.pending} style={{ flexGrow: stats.pending }} />
      <span className={styles.lost} style={{ flexGrow: lostCount(stats) }} />
    </div>
  );
}
