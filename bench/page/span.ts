/** What every peer says of a write, so that all of them send the same. */
export const NAME = 'Jotai State Update: cart';
/** Once in each span, event or text; the sink counts them. */
export const KEY = 'atomwire.key';
export const ATTRIBUTES: Record<string, string> = { [KEY]: 'cart' };
export const VALUE = 'atomwire.value';
