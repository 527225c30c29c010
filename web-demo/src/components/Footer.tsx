import styles from './Footer.module.css';

export function Footer() {
  return (
    <footer className={styles.footer}>
      <p className={styles.words}>
        ITuna is a demo of Atomwire. Every change you make here is one write of a Jotai atom; the strip below
        counts them, and its link follows the newest from this page to the row in the database.
      </p>
    </footer>
  );
}
