import { useAtomValue } from 'jotai';
import { cartCountAtom } from '../atoms/cartCount';
import styles from './CartLink.module.css';

export function CartLink() {
  const count = useAtomValue(cartCountAtom);
  return (
    <a className={styles.link} href="#cart" aria-label={`Cart ${count} items`}>
      Cart <span className={styles.count}>{count}</span>
    </a>
  );
}
