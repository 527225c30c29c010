import { useAtomValue } from 'jotai';
import { useState } from 'react';
import { orderAtom } from '../atoms/order';
import { userPreferencesAtom } from '../atoms/userPreferences';
import styles from './OrderNotice.module.css';

/** Tells the guest that the order is in the kitchen, if notifications are on; gone once dismissed. */
export function OrderNotice() {
  const order = useAtomValue(orderAtom);
  const { notifications } = useAtomValue(userPreferencesAtom);
  const [dismissed, setDismissed] = useState<number>();
  const isShown = order !== null && notifications && order.number !== dismissed;
  return (
    <div role="status" aria-label="Order notice" className={styles.place}>
      {isShown && (
        <div className={styles.notice}>
          <div>
            <p className={styles.title}>Order {order.number} is in the kitchen.</p>
            <p>Ready in about {order.readyInMinutes} minutes.</p>
          </div>
          <button
            type="button"
            className={styles.dismiss}
            aria-label="Dismiss the notice"
            onClick={() => setDismissed(order.number)}
          >
            ×
          </button>
        </div>
      )}
    </div>
  );
}
