import { useAtomValue, useSetAtom } from 'jotai';
import { cartAtom } from '../atoms/cart';
import { changeCartAtom } from '../atoms/changeCart';
import { formatPrice } from '../formatPrice';
import type { Dish } from '../menu';
import styles from './DishCard.module.css';

export function DishCard({ dish }: { dish: Dish }) {
  const cart = useAtomValue(cartAtom);
  const changeCart = useSetAtom(changeCartAtom);
  const quantity = cart.find((line) => line.dish === dish.id)?.quantity ?? 0;
  return (
    <li className={styles.card}>
      <div className={styles.picture}>
        <dish.Illustration />
      </div>
      <div className={styles.words}>
        <h4 className={styles.name}>{dish.name}</h4>
        <p className={styles.description}>{dish.description}</p>
        <div className={styles.foot}>
          <span className={styles.price}>{formatPrice(dish.priceCents)}</span>
          <button
            type="button"
            className={styles.add}
            aria-label={`Add ${dish.name} to cart`}
            onClick={() => changeCart(dish.id, 1)}
          >
            Add
            {quantity > 0 && <span className={styles.quantity}>{quantity}</span>}
          </button>
        </div>
      </div>
    </li>
  );
}
