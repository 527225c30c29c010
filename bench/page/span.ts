/** What every peer says of a write, so that all of them send the same. */
export const NAME = 'Jotai State Update: cart';
/** One of these in each span or event; the sink counts them. */
export const ATTRIBUTES: Record<string, string> = { 'atomwire.key': 'cart' };
export const VALUE = 'atomwire.value';
