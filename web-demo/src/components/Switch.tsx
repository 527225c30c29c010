import type { ReactNode } from 'react';
import styles from './Switch.module.css';

interface SwitchProps {
  label: string;
  on: boolean;
  onChange: (on: boolean) => void;
  /** The icon on the thumb. */
  children: ReactNode;
}

export function Switch({ label, on, onChange, children }: SwitchProps) {
  return (
    <button
      type="button"
      role="switch"
      aria-checked={on}
      aria-label={label}
      title={label}
      className={styles.switch}
      onClick={() => onChange(!on)}
    >
      <span className={styles.thumb}>{children}</span>
    </button>
  );
}
