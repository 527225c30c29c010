import { useSetAtom } from 'jotai';
import { changeCartAtom } from '../atoms/changeCart';
import type { CartLine } from '../cart/Cart';
import { formatPrice } from '../formatPrice';
import { dishById } from '../menu';
import styles from './CartRow.module.css';

export function CartRow({ line }: { line: CartLine }) {
  const changeCart = useSetAtom(changeCartAtom);
  const { name, priceCents } = dishById(line.dish);
  return (
    <li className={styles.row}>
      <span className={styles.name}>{name}</span>
      <span className={styles.price}>{formatPrice(line.quantity * priceCents)}</span>
      <span className={styles.stepper}>
        <button
          type="button"
          className={styles.step}
          aria-label={`Remove one ${name}`}
          onClick={() => changeCart(line.dish, -1)}
        >
          −
        </button>
        <output className={styles.quantity} aria-label={`${name} quantity`}>
          {line.quantity}
        </output>
        <button
          type="button"
          className={styles.step}
          aria-label={`Add one ${name}`}
          onClick={() => changeCart(line.dish, 1)}
        >
          +
        </button>
      </span>
    </li>
  );
}
