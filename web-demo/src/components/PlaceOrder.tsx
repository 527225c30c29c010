import { useAtomValue, useSetAtom } from 'jotai';
import { useActionState } from 'react';
import { cartAtom } from '../atoms/cart';
import { orderAtom } from '../atoms/order';
import { KitchenFullError } from '../kitchen';
import styles from './PlaceOrder.module.css';

export function PlaceOrder() {
  const cart = useAtomValue(cartAtom);
  const order = useSetAtom(orderAtom);
  const [refusal, placeOrder, isPlacing] = useActionState(async () => {
    try {
      await order(cart);
      return null;
    } catch (error) {
      if (error instanceof KitchenFullError) return error.message;
      throw error;
    }
  }, null);
  return (
    <form action={placeOrder}>
      <button
        type="submit"
        className={styles.button}
        disabled={cart.length === 0 || isPlacing}
        aria-busy={isPlacing}
      >
        {isPlacing ? 'Sending to the kitchen' : 'Place order'}
      </button>
      <p role="alert" className={styles.refusal}>
        {refusal}
      </p>
    </form>
  );
}
