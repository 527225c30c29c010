import { traceUrl } from '../relay/traceUrl';
import styles from './TraceLink.module.css';

export function TraceLink({ traceId }: { traceId: string | undefined }) {
  if (traceId === undefined) return <span className={styles.none}>No trace yet</span>;
  return (
    <a className={styles.link} href={traceUrl(traceId)} target="_blank" rel="noreferrer">
      Trace of the last write <code className={styles.id}>{traceId.slice(0, 8)}</code>
    </a>
  );
}
