import { Platter } from '../illustrations/Platter';
import styles from './Hero.module.css';

export function Hero() {
  return (
    <section id="top" aria-labelledby="hero-heading" className={styles.hero}>
      <div className={styles.words}>
        <h1 id="hero-heading" className={styles.heading}>
          Sushi,
          <br />
          one piece
          <br />
          at a time
        </h1>
        <p className={styles.lead}>
          Twelve seats, one counter, nine things done slowly. Choose what you like; we press the rice when
          your order comes in.
        </p>
        <a className={styles.link} href="#menu">
          See the menu
        </a>
      </div>
      <div className={styles.picture}>
        <Platter />
      </div>
    </section>
  );
}
