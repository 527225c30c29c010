import styles from './Figure.module.css';

interface FigureProps {
  label: 'created' | 'acknowledged' | 'pending' | 'lost';
  value: number;
}

/** One number of the emitter's account. Not announced as it changes: it changes with every click. */
export function Figure({ label, value }: FigureProps) {
  return (
    <span className={styles.figure} data-figure={label} data-zero={value === 0}>
      <output aria-label={label} aria-live="off" className={styles.value}>
        {value}
      </output>
      <span aria-hidden="true" className={styles.label}>
        {label}
      </span>
    </span>
  );
}
