import { useAtomValue } from 'jotai';
import { cartAtom } from '../atoms/cart';
import { cartTotalAtom } from '../atoms/cartTotal';
import { formatPrice } from '../formatPrice';
import styles from './CartPanel.module.css';
import { CartRow } from './CartRow';
import { PlaceOrder } from './PlaceOrder';

export function CartPanel() {
  const cart = useAtomValue(cartAtom);
  const total = useAtomValue(cartTotalAtom);
  return (
    <aside id="cart" aria-labelledby="cart-heading" className={styles.panel}>
      <h2 id="cart-heading" className={styles.heading}>
        Your cart
      </h2>
      {cart.length === 0 ? (
        <p className={styles.empty}>Nothing yet. The maguro is good today.</p>
      ) : (
        <ul className={styles.rows}>
          {cart.map((line) => (
            <CartRow key={line.dish} line={line} />
          ))}
        </ul>
      )}
      <p className={styles.total}>
        Total
        <output aria-label="total">{formatPrice(total)}</output>
      </p>
      <PlaceOrder />
    </aside>
  );
}
