import { atom } from 'jotai';
import { changeQuantity } from '../cart/changeQuantity';
import { cartAtom } from './cart';

/** Adds `by` servings of a dish to the cart, or takes them out when negative. */
export const changeCartAtom = atom(null, (_get, set, dish: string, by: number) => {
  set(cartAtom, (cart) => changeQuantity(cart, dish, by));
});
