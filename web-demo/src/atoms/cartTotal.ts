import { atom } from 'jotai';
import { totalCents } from '../cart/totalCents';
import { cartAtom } from './cart';

export const cartTotalAtom = atom((get) => totalCents(get(cartAtom)));
