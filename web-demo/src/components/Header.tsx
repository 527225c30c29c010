import { CartLink } from './CartLink';
import styles from './Header.module.css';
import { Logo } from './Logo';
import { Preferences } from './Preferences';

export function Header() {
  return (
    <header className={styles.header}>
      <div className={styles.inner}>
        <a className={styles.brand} href="#top" aria-label="ITuna, to the top">
          <Logo />
          <span>ITuna</span>
        </a>
        <Preferences />
        <nav aria-label="Main" className={styles.nav}>
          <a className={styles.menuLink} href="#menu">
            Menu
          </a>
          <CartLink />
        </nav>
      </div>
    </header>
  );
}
