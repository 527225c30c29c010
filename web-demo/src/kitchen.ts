import type { Cart } from './cart/Cart';
import { countServings } from './cart/countServings';
import { totalCents } from './cart/totalCents';

export interface PlacedOrder {
  readonly number: number;
  readonly totalCents: number;
  readonly readyInMinutes: number;
}

/** The kitchen refuses an order; its `name` becomes the update's `error`, as with any thrown error. */
export class KitchenFullError extends Error {
  override readonly name = 'KitchenFullError';
}

const MAX_SERVINGS = 12;
const MINUTES_TO_START = 8;
const MINUTES_PER_SERVING = 2;

/** Stands for the network: long enough to see the order's span last. */
const ROUND_TRIP_MS = 600;

let lastNumber = 100;

/** Sends the cart to the kitchen. Throws `KitchenFullError` when it holds more than the counter can serve. */
export async function sendToKitchen(cart: Cart): Promise<PlacedOrder> {
  await new Promise((resolve) => setTimeout(resolve, ROUND_TRIP_MS));
  const servings = countServings(cart);
  if (servings > MAX_SERVINGS) {
    throw new KitchenFullError(
      `The counter takes up to ${MAX_SERVINGS} servings an order; this one has ${servings}.`,
    );
  }
  lastNumber += 1;
  return {
    number: lastNumber,
    totalCents: totalCents(cart),
    readyInMinutes: MINUTES_TO_START + MINUTES_PER_SERVING * servings,
  };
}
