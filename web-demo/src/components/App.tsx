import { useTheme } from '../useTheme';
import styles from './App.module.css';
import { CartPanel } from './CartPanel';
import { EmitterPanel } from './EmitterPanel';
import { Footer } from './Footer';
import { Header } from './Header';
import { Hero } from './Hero';
import { Menu } from './Menu';
import { OrderNotice } from './OrderNotice';

export function App() {
  useTheme();
  return (
    <>
      <a className={styles.skip} href="#menu">
        Skip to the menu
      </a>
      <Header />
      <main className={styles.main}>
        <Hero />
        <div className={styles.counter}>
          <Menu />
          <CartPanel />
        </div>
      </main>
      <Footer />
      <OrderNotice />
      <EmitterPanel />
    </>
  );
}
