import { traced } from 'atomwire/jotai';
import { atom } from 'jotai';
import type { Cart } from '../cart/Cart';
import { changeQuantity } from '../cart/changeQuantity';
import { type PlacedOrder, sendToKitchen } from '../kitchen';
import { cartAtom } from './cart';

const placedOrderAtom = atom<PlacedOrder | null>(null);

/**
 * The last order; writing a cart to it orders that cart, which is then the value of the update. The write
 * lasts until the kitchen has answered, and the cart's own write, made through its `set`, is its child in
 * the trace.
 */
export const orderAtom = traced(
  atom(
    (get) => get(placedOrderAtom),
    async (_get, set, ordered: Cart) => {
      const order = await sendToKitchen(ordered);
      set(placedOrderAtom, order);
      // Only what was ordered leaves the cart: the guest may have gone on choosing meanwhile.
      set(cartAtom, (cart) =>
        ordered.reduce((rest, line) => changeQuantity(rest, line.dish, -line.quantity), cart),
      );
    },
  ),
  'order',
);
