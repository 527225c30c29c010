/** One dish of an order. It travels to the backend as it is: ids and counts, no prices to trust. */
export interface CartLine {
  readonly dish: string;
  readonly quantity: number;
}

/** In the order in which the dishes were first added. */
export type Cart = readonly CartLine[];
