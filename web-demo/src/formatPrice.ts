const dollars = new Intl.NumberFormat('en-US', { style: 'currency', currency: 'USD' });

/** Integer cents as a price: 720 is "$7.20". */
export function formatPrice(cents: number): string {
  return dollars.format(cents / 100);
}
